//! `GET` and `POST /api/v1/me/tokens`, `DELETE /api/v1/me/tokens/{id}`: lists, creates and revokes the
//! caller's own personal access tokens.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use uuid::Uuid;

use crate::database::Connection;
use crate::guard::requirements::{AccountRead, AccountWrite, FreshAccountWrite};
use crate::guard::{Authorized, refusals};
use crate::http::fields::Draft;
use crate::http::pagination::{Page, PageQuery, PageRequest};
use crate::http::request::{Path, Query};
use crate::http::response::{no_store, private};
use crate::operations::own_account::MakePersonalToken;
use crate::operations::own_account::NewTokenRequest;
use crate::operations::own_account::RevokeOwnToken;
use crate::refusal::{Refusal, not_found};
use crate::state::State;
use crate::tokens::personal_token::{self, PersonalToken};

/// A personal access token.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct TokenItem {
    /// The ID of the token.
    pub id: Uuid,
    /// The name that its owner chose.
    #[schema(example = "backup script")]
    pub name: String,
    /// The scope of the token: permissions separated by spaces.
    #[schema(example = "notes:read")]
    pub scope: String,
    /// The time when the token was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The time when the token expires.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// The time of the last use, accurate to about ten seconds; null if it was never used.
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
    /// The token itself. Only the response that creates it contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "dwp_…")]
    pub token: Option<String>,
}

/// Describes a token, without the token itself.
#[must_use]
pub(crate) fn item(token: PersonalToken) -> TokenItem {
    TokenItem {
        id: token.id,
        name: token.name,
        scope: token.scope.join(" "),
        created_at: refusals::time(token.created_at),
        expires_at: refusals::time(token.expires_at),
        last_used_at: token.last_used_at.map(refusals::time),
        token: None,
    }
}

/// Lists the valid personal tokens of the caller.
#[utoipa::path(get, path = "/api/v1/me/tokens", tag = "me", params(PageQuery),
    responses((status = 200, description = "The tokens, newest first", body = Page<TokenItem>)))]
pub(crate) async fn list(
    state: web::Data<State>,
    guarded: Authorized<AccountRead, Query<PageQuery>>,
) -> Result<HttpResponse, Refusal> {
    let Query(query) = guarded.input;
    list_of(&state, guarded.caller.user_id, &query).await
}

/// Responds with a page of a user's valid personal tokens.
pub(crate) async fn list_of(
    state: &State,
    user_id: Uuid,
    query: &PageQuery,
) -> Result<HttpResponse, Refusal> {
    let list = format!("tokens of {user_id}");
    let request = PageRequest::read(&state.core.secret_keys, list, query.limit, query.cursor.as_deref())?;
    let (before, rows) = (request.before, request.rows());
    let find =
        move |connection: &mut Connection| personal_token::list(connection, Some(user_id), before, rows);
    let tokens = state.core.database.run(find).await?;
    Ok(private(HttpResponse::Ok()).json(request.page(tokens, |token| token.id).map(item)))
}

/// Creates a personal access token.
///
/// Requires a recent sign-in. The token itself is shown only in this response.
#[utoipa::path(post, path = "/api/v1/me/tokens", tag = "me", request_body = NewTokenRequest,
    responses((status = 201, description = "The token, shown only once", body = TokenItem)))]
pub(crate) async fn create(
    state: web::Data<State>,
    guarded: Authorized<FreshAccountWrite, Draft<NewTokenRequest>>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: draft, origin, .. } = guarded;
    let mistakes = draft.value().mistakes(&state, &caller).await?;
    let request = draft.finish(mistakes)?;
    let (plain, token) = MakePersonalToken { request }.run(&state, &caller, origin).await?;
    let location = format!("/api/v1/me/tokens/{}", token.id);
    let shown = TokenItem { token: Some(plain.expose().to_owned()), ..item(token) };
    Ok(no_store(HttpResponse::Created()).insert_header((LOCATION, location)).json(shown))
}

/// Revokes a personal token of the caller.
///
/// The response is 404 if the caller has no valid token with this ID.
#[utoipa::path(delete, path = "/api/v1/me/tokens/{id}", tag = "me", params(("id" = Uuid, Path)),
    responses((status = 204, description = "The token was revoked")))]
pub(crate) async fn revoke(
    state: web::Data<State>,
    guarded: Authorized<AccountWrite, Path<Uuid>>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: Path(id), origin, .. } = guarded;
    let was_good = RevokeOwnToken { id }.run(&state, &caller, origin).await?;
    if was_good { Ok(private(HttpResponse::NoContent()).finish()) } else { Err(not_found()) }
}
