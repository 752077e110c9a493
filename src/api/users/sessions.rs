//! Somebody's sessions: `GET` and `DELETE /api/v1/users/{id}/sessions`, `DELETE /api/v1/users/{id}/sessions/{sid}`.

use actix_web::{HttpResponse, web};
use uuid::Uuid;

use crate::api::me::sessions::{SessionItem, item};
use crate::guard::input::{Path, not_found};
use crate::guard::issue::private;
use crate::guard::page::Page;
use crate::guard::requirements::{UsersRead, UsersWrite};
use crate::guard::{Authorized, Services, refusal};
use crate::problem::Problem;
use crate::sessions::{Which, session};

/// Lists a user's live sessions.
#[utoipa::path(get, path = "/api/v1/users/{id}/sessions", tag = "users", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The live sessions, latest first", body = Page<SessionItem>)))]
pub async fn list(
    services: web::Data<Services>,
    guarded: Authorized<UsersRead, Path<Uuid>>,
) -> Result<HttpResponse, Problem> {
    let Path(id) = guarded.input;
    services.find_user(id).await?;
    let sessions = services
        .database
        .run(move |connection| session::list(connection, id))
        .await
        .map_err(refusal::database)?;
    let current = guarded.caller.credential.session_id();
    let items = sessions.into_iter().map(|session| item(session, current)).collect();
    Ok(private(HttpResponse::Ok()).json(Page { items, next_cursor: None }))
}

/// Ends all sessions of a user.
#[utoipa::path(delete, path = "/api/v1/users/{id}/sessions", tag = "users", params(("id" = Uuid, Path)),
    responses((status = 204, description = "They have ended")))]
pub async fn end_all(
    services: web::Data<Services>,
    guarded: Authorized<UsersWrite, Path<Uuid>>,
) -> Result<HttpResponse, Problem> {
    let Path(id) = guarded.input;
    services.end_sessions_of(&guarded.caller, id, Which::AllOf(id), guarded.origin).await?;
    Ok(private(HttpResponse::NoContent()).finish())
}

/// Ends one session of a user.
#[utoipa::path(delete, path = "/api/v1/users/{id}/sessions/{sid}", tag = "users",
    params(("id" = Uuid, Path), ("sid" = Uuid, Path)), responses((status = 204, description = "It has ended")))]
pub async fn end(
    services: web::Data<Services>,
    guarded: Authorized<UsersWrite, Path<(Uuid, Uuid)>>,
) -> Result<HttpResponse, Problem> {
    let Path((id, session_id)) = guarded.input;
    let which = Which::OneOf(id, session_id);
    let ended = services.end_sessions_of(&guarded.caller, id, which, guarded.origin).await?;
    if ended.is_empty() { Err(not_found()) } else { Ok(private(HttpResponse::NoContent()).finish()) }
}
