//! `GET` and `DELETE /api/v1/users/{id}/sessions`, `DELETE /api/v1/users/{id}/sessions/{sid}`: lists and ends
//! a user's sessions.

use actix_web::{HttpResponse, web};
use uuid::Uuid;

use crate::api::me::sessions::{SessionItem, list_of};
use crate::guard::Authorized;
use crate::guard::requirements::{UsersRead, UsersWrite};
use crate::http::pagination::{Page, PageQuery};
use crate::http::request::{Path, Query};
use crate::http::response::private;
use crate::operations::manage_users::EndSessionsOf;
use crate::operations::manage_users::FindUser;
use crate::refusal::{Refusal, not_found};
use crate::sessions::SessionSelection;
use crate::state::State;

/// Lists the active sessions of a user.
#[utoipa::path(get, path = "/api/v1/users/{id}/sessions", tag = "users", params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, description = "The active sessions, newest first", body = Page<SessionItem>)))]
pub(crate) async fn list(
    state: web::Data<State>,
    guarded: Authorized<UsersRead, (Path<Uuid>, Query<PageQuery>)>,
) -> Result<HttpResponse, Refusal> {
    let (Path(id), Query(query)) = guarded.input;
    FindUser { id }.run(&state).await?;
    list_of(&state, id, &guarded.caller, &query).await
}

/// Ends all sessions of a user.
#[utoipa::path(delete, path = "/api/v1/users/{id}/sessions", tag = "users", params(("id" = Uuid, Path)),
    responses((status = 204, description = "All sessions ended")))]
pub(crate) async fn end_all(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, Path<Uuid>>,
) -> Result<HttpResponse, Refusal> {
    let Path(id) = guarded.input;
    EndSessionsOf { user_id: id, which: SessionSelection::AllOf(id) }
        .run(&state, &guarded.caller, guarded.origin)
        .await?;
    Ok(private(HttpResponse::NoContent()).finish())
}

/// Ends a session of a user.
#[utoipa::path(delete, path = "/api/v1/users/{id}/sessions/{sid}", tag = "users",
    params(("id" = Uuid, Path), ("sid" = Uuid, Path)),
    responses((status = 204, description = "The session ended")))]
pub(crate) async fn end(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, Path<(Uuid, Uuid)>>,
) -> Result<HttpResponse, Refusal> {
    let Path((id, session_id)) = guarded.input;
    let which = SessionSelection::OneOf(id, session_id);
    let ended = EndSessionsOf { user_id: id, which }.run(&state, &guarded.caller, guarded.origin).await?;
    if ended.is_empty() { Err(not_found()) } else { Ok(private(HttpResponse::NoContent()).finish()) }
}
