//! Somebody's sessions: `GET` and `DELETE /api/v1/users/{id}/sessions`, `DELETE /api/v1/users/{id}/sessions/{sid}`.

use actix_web::{HttpResponse, web};
use uuid::Uuid;

use super::{UsersRead, UsersWrite, authority};
use crate::api::me::sessions::{SessionItem, item};
use crate::guard::input::{Path, not_found};
use crate::guard::issue::private;
use crate::guard::page::Page;
use crate::guard::{Authorized, Services, refusal};
use crate::problem::Problem;
use crate::sessions::{EndReason, Which, end_sessions, session};
use crate::users::user::{self, Access};

/// Lists a user's live sessions.
#[utoipa::path(get, path = "/api/v1/users/{id}/sessions", tag = "users", params(("id" = Uuid, Path)),
    responses((status = 200, description = "The live sessions, latest first", body = Page<SessionItem>)))]
pub async fn list(
    services: web::Data<Services>,
    guarded: Authorized<UsersRead, Path<Uuid>>,
) -> Result<HttpResponse, Problem> {
    let Path(id) = guarded.input;
    let found = services
        .database
        .run(move |connection| match user::find(connection, id)? {
            None => Ok(None),
            Some(_) => session::list(connection, id).map(Some),
        })
        .await
        .map_err(refusal::database)?;
    let current = guarded.caller.credential.session_id();
    let items = found.ok_or_else(not_found)?.into_iter().map(|session| item(session, current)).collect();
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
    end_of(&services, guarded, id, Which::AllOf(id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Ends one session of a user.
#[utoipa::path(delete, path = "/api/v1/users/{id}/sessions/{sid}", tag = "users",
    params(("id" = Uuid, Path), ("sid" = Uuid, Path)), responses((status = 204, description = "It has ended")))]
pub async fn end(
    services: web::Data<Services>,
    guarded: Authorized<UsersWrite, Path<(Uuid, Uuid)>>,
) -> Result<HttpResponse, Problem> {
    let Path((id, session_id)) = guarded.input;
    let ended = end_of(&services, guarded, id, Which::OneOf(id, session_id)).await?;
    if ended.is_empty() { Err(not_found()) } else { Ok(HttpResponse::NoContent().finish()) }
}

async fn end_of<I>(
    services: &Services,
    guarded: Authorized<UsersWrite, I>,
    user_id: Uuid,
    which: Which,
) -> Result<Vec<Uuid>, Problem> {
    let (authority, origin) = (authority(&guarded.caller), guarded.origin);
    let ended = services
        .database
        .transaction(move |connection| match user::check_access(connection, user_id, &authority)? {
            Access::Granted => end_sessions(connection, &which, EndReason::EndedByAdmin, &origin).map(Ok),
            refused => Ok(Err(refused)),
        })
        .await
        .map_err(refusal::database)?;
    ended.map_err(|refused| super::refuse_access(refused, &guarded.caller))
}
