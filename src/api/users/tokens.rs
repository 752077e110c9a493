//! Somebody's personal tokens: `GET` and `DELETE /api/v1/users/{id}/tokens`, `DELETE /api/v1/users/{id}/tokens/{tid}`.

use actix_web::{HttpResponse, web};
use uuid::Uuid;

use crate::api::me::tokens::{TokenItem, TokenQuery, list_of};
use crate::guard::input::{Path, Query, not_found};
use crate::guard::issue::private;
use crate::guard::page::Page;
use crate::guard::requirements::{UsersRead, UsersWrite};
use crate::guard::{Authorized, Services};
use crate::problem::Problem;

/// Lists a user's good tokens.
#[utoipa::path(get, path = "/api/v1/users/{id}/tokens", tag = "users",
    params(("id" = Uuid, Path), TokenQuery),
    responses((status = 200, description = "The tokens, latest first", body = Page<TokenItem>)))]
pub async fn list(
    services: web::Data<Services>,
    guarded: Authorized<UsersRead, (Path<Uuid>, Query<TokenQuery>)>,
) -> Result<HttpResponse, Problem> {
    let (Path(id), Query(query)) = guarded.input;
    services.find_user(id).await?;
    list_of(&services, id, &query).await
}

/// Revokes all tokens of a user.
#[utoipa::path(delete, path = "/api/v1/users/{id}/tokens", tag = "users", params(("id" = Uuid, Path)),
    responses((status = 204, description = "They are revoked")))]
pub async fn revoke_all(
    services: web::Data<Services>,
    guarded: Authorized<UsersWrite, Path<Uuid>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: Path(id), origin, .. } = guarded;
    services.revoke_tokens_of(&caller, id, None, origin).await?;
    Ok(private(HttpResponse::NoContent()).finish())
}

/// Revokes a token of a user.
#[utoipa::path(delete, path = "/api/v1/users/{id}/tokens/{tid}", tag = "users",
    params(("id" = Uuid, Path), ("tid" = Uuid, Path)), responses((status = 204, description = "It is revoked")))]
pub async fn revoke(
    services: web::Data<Services>,
    guarded: Authorized<UsersWrite, Path<(Uuid, Uuid)>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: Path((id, token_id)), origin, .. } = guarded;
    let revoked = services.revoke_tokens_of(&caller, id, Some(token_id), origin).await?;
    if revoked.is_empty() { Err(not_found()) } else { Ok(private(HttpResponse::NoContent()).finish()) }
}
