//! `GET` and `DELETE /api/v1/me/sessions`, `DELETE /api/v1/me/sessions/{id}`: lists and ends the caller's own
//! sessions.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use uuid::Uuid;

use crate::database::Connection;
use crate::guard::requirements::{AccountRead, AccountWrite};
use crate::guard::{Authorized, Caller, refusals};
use crate::http::pagination::{Page, PageQuery, PageRequest};
use crate::http::request::{Path, Query};
use crate::http::response::private;
use crate::operations::own_account::EndOwnSessions;
use crate::refusal::{Refusal, not_found};
use crate::sessions::{Session, SessionSelection, session};
use crate::state::State;

/// A session of a browser or an API client.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct SessionItem {
    /// The ID of the session.
    pub id: Uuid,
    /// `browser` or `api`.
    #[schema(example = "api")]
    pub kind: String,
    /// The name of the device.
    pub device: Option<String>,
    /// The client address from which the session was started.
    pub address: Option<String>,
    /// The time when the session was started.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The time of the last use, accurate to about ten seconds.
    #[schema(format = DateTime)]
    pub last_used_at: String,
    /// The time when the session expires unless it is used again.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// True if this request belongs to the session.
    pub current: bool,
}

/// Describes a session. `current` is the session of the caller.
#[must_use]
pub(crate) fn item(session: Session, current: Option<Uuid>) -> SessionItem {
    SessionItem {
        id: session.id,
        kind: session.kind.to_string(),
        device: session.device,
        address: session.address,
        created_at: refusals::time(session.created_at),
        last_used_at: refusals::time(session.last_used_at),
        expires_at: refusals::time(session.expires_at),
        current: current == Some(session.id),
    }
}

/// Lists the active sessions of the caller.
#[utoipa::path(get, path = "/api/v1/me/sessions", tag = "me", params(PageQuery),
    responses((status = 200, description = "The active sessions, newest first", body = Page<SessionItem>)))]
pub(crate) async fn list(
    state: web::Data<State>,
    guarded: Authorized<AccountRead, Query<PageQuery>>,
) -> Result<HttpResponse, Refusal> {
    let Query(query) = guarded.input;
    list_of(&state, guarded.caller.user_id, &guarded.caller, &query).await
}

/// Responds with a page of a user's active sessions, and marks the one of the caller.
pub(crate) async fn list_of(
    state: &State,
    user_id: Uuid,
    caller: &Caller,
    query: &PageQuery,
) -> Result<HttpResponse, Refusal> {
    let list = format!("sessions of {user_id}");
    let request = PageRequest::read(&state.core.secret_keys, list, query.limit, query.cursor.as_deref())?;
    let (before, rows) = (request.before, request.rows());
    let find = move |connection: &mut Connection| session::list_page(connection, user_id, before, rows);
    let sessions = state.core.database.run(find).await?;
    let current = caller.credential.session_id();
    let page = request.page(sessions, |session| session.id).map(|session| item(session, current));
    Ok(private(HttpResponse::Ok()).json(page))
}

/// Ends a session of the caller.
///
/// The response is 404 if the caller has no active session with this ID.
#[utoipa::path(delete, path = "/api/v1/me/sessions/{id}", tag = "me", params(("id" = Uuid, Path)),
    responses((status = 204, description = "The session ended")))]
pub(crate) async fn end(
    state: web::Data<State>,
    guarded: Authorized<AccountWrite, Path<Uuid>>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: Path(id), origin, .. } = guarded;
    let which = SessionSelection::OneOf(caller.user_id, id);
    let ended = EndOwnSessions { which }.run(&state, &caller, origin).await?;
    if ended.is_empty() { Err(not_found()) } else { Ok(private(HttpResponse::NoContent()).finish()) }
}

/// Ends all sessions of the caller except the current one.
#[utoipa::path(delete, path = "/api/v1/me/sessions", tag = "me",
    responses((status = 204, description = "All other sessions ended")))]
pub(crate) async fn end_others(
    state: web::Data<State>,
    guarded: Authorized<AccountWrite>,
) -> Result<HttpResponse, Refusal> {
    let user_id = guarded.caller.user_id;
    let which = match guarded.caller.credential.session_id() {
        Some(current) => SessionSelection::OthersOf(user_id, current),
        None => SessionSelection::AllOf(user_id),
    };
    EndOwnSessions { which }.run(&state, &guarded.caller, guarded.origin).await?;
    Ok(private(HttpResponse::NoContent()).finish())
}
