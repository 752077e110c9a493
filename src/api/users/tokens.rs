//! `GET` and `DELETE /api/v1/users/{id}/tokens`, `DELETE /api/v1/users/{id}/tokens/{tid}`: lists and revokes
//! a user's personal tokens.

use actix_web::{HttpResponse, web};
use uuid::Uuid;

use crate::api::me::tokens::{TokenItem, list_of};
use crate::guard::Authorized;
use crate::guard::requirements::{UsersRead, UsersWrite};
use crate::http::pagination::{Page, PageQuery};
use crate::http::request::{Path, Query};
use crate::http::response::private;
use crate::operations::manage_users::FindUser;
use crate::operations::manage_users::RevokeTokensOf;
use crate::refusal::{Refusal, not_found};
use crate::state::State;

/// Lists the valid personal tokens of a user.
#[utoipa::path(get, path = "/api/v1/users/{id}/tokens", tag = "users",
    params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, description = "The tokens, newest first", body = Page<TokenItem>)))]
pub(crate) async fn list(
    state: web::Data<State>,
    guarded: Authorized<UsersRead, (Path<Uuid>, Query<PageQuery>)>,
) -> Result<HttpResponse, Refusal> {
    let (Path(id), Query(query)) = guarded.input;
    FindUser { id }.run(&state).await?;
    list_of(&state, id, &query).await
}

/// Revokes all personal tokens of a user.
#[utoipa::path(delete, path = "/api/v1/users/{id}/tokens", tag = "users", params(("id" = Uuid, Path)),
    responses((status = 204, description = "All tokens were revoked")))]
pub(crate) async fn revoke_all(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, Path<Uuid>>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: Path(id), origin, .. } = guarded;
    RevokeTokensOf { user_id: id, token_id: None }.run(&state, &caller, origin).await?;
    Ok(private(HttpResponse::NoContent()).finish())
}

/// Revokes a personal token of a user.
#[utoipa::path(delete, path = "/api/v1/users/{id}/tokens/{tid}", tag = "users",
    params(("id" = Uuid, Path), ("tid" = Uuid, Path)),
    responses((status = 204, description = "The token was revoked")))]
pub(crate) async fn revoke(
    state: web::Data<State>,
    guarded: Authorized<UsersWrite, Path<(Uuid, Uuid)>>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: Path((id, token_id)), origin, .. } = guarded;
    let revoked =
        RevokeTokensOf { user_id: id, token_id: Some(token_id) }.run(&state, &caller, origin).await?;
    if revoked.is_empty() { Err(not_found()) } else { Ok(private(HttpResponse::NoContent()).finish()) }
}
