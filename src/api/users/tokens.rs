//! Somebody's personal tokens: `GET /api/v1/users/{id}/tokens`, `DELETE /api/v1/users/{id}/tokens/{tid}`.

use actix_web::{HttpResponse, web};
use uuid::Uuid;

use super::{UsersRead, UsersWrite, authority};
use crate::api::me::tokens::{TokenItem, TokenQuery, list_of};
use crate::guard::input::{Path, Query, not_found};
use crate::guard::page::Page;
use crate::guard::{Authorized, Services, refusal};
use crate::problem::Problem;
use crate::tokens::personal_token::{self, RevokeReason, Which};
use crate::users::user::{self, Access};

/// Lists a user's good tokens.
#[utoipa::path(get, path = "/api/v1/users/{id}/tokens", tag = "users",
    params(("id" = Uuid, Path), TokenQuery),
    responses((status = 200, description = "The tokens, latest first", body = Page<TokenItem>)))]
pub async fn list(
    services: web::Data<Services>,
    guarded: Authorized<UsersRead, (Path<Uuid>, Query<TokenQuery>)>,
) -> Result<HttpResponse, Problem> {
    let (Path(id), Query(query)) = guarded.input;
    let found = services
        .database
        .run(move |connection| user::find(connection, id))
        .await
        .map_err(refusal::database)?;
    found.ok_or_else(not_found)?;
    list_of(&services, id, &query).await
}

/// Revokes a token of a user.
#[utoipa::path(delete, path = "/api/v1/users/{id}/tokens/{tid}", tag = "users",
    params(("id" = Uuid, Path), ("tid" = Uuid, Path)), responses((status = 204, description = "It is revoked")))]
pub async fn revoke(
    services: web::Data<Services>,
    guarded: Authorized<UsersWrite, Path<(Uuid, Uuid)>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: Path((id, token_id)), origin, .. } = guarded;
    let (authority, which) = (authority(&caller), Which::OneOf(id, token_id));
    let revoked = services
        .database
        .transaction(move |connection| match user::check_access(connection, id, &authority)? {
            Access::Granted => {
                personal_token::revoke(connection, which, RevokeReason::ByAdmin, &origin).map(Ok)
            }
            refused => Ok(Err(refused)),
        })
        .await
        .map_err(refusal::database)?
        .map_err(|refused| super::refuse_access(refused, &caller))?;
    if revoked.is_empty() { Err(not_found()) } else { Ok(HttpResponse::NoContent().finish()) }
}
