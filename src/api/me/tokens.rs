//! My personal access tokens: `GET` and `POST /api/v1/me/tokens`, `DELETE /api/v1/me/tokens/{id}`.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::guard::requirements::{AccountRead, AccountWrite, FreshAccountWrite};
use crate::guard::{Authorized, refusals};
use crate::http::fields::Draft;
use crate::http::pagination::{Page, PageRequest};
use crate::http::request::{Path, Query, not_found};
use crate::http::response::{no_store, private};
use crate::operations::own_account::MakePersonalToken;
use crate::operations::own_account::NewTokenRequest;
use crate::operations::own_account::RevokeOwnToken;
use crate::refusal::Problem;
use crate::state::State;
use crate::tokens::personal_token::{self, PersonalToken};

/// A personal access token.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TokenItem {
    /// Its id.
    pub id: Uuid,
    /// What its owner calls it.
    #[schema(example = "backup script")]
    pub name: String,
    /// What it may do, separated by spaces.
    #[schema(example = "notes:read")]
    pub scope: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it expires.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// When it was last used, to within some ten seconds; null: never.
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
    /// The token itself: here and now alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "dwp_…")]
    pub token: Option<String>,
}

/// A token as it is shown.
#[must_use]
pub fn item(token: PersonalToken) -> TokenItem {
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

/// Which part of the list.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TokenQuery {
    /// Items on a page, 1 to 200.
    #[param(default = 50, minimum = 1, maximum = 200)]
    #[serde(default, deserialize_with = "crate::http::pagination::limit")]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(min_length = 1)]
    #[serde(default, deserialize_with = "crate::http::pagination::cursor")]
    pub cursor: Option<String>,
}

/// Lists my good tokens.
#[utoipa::path(get, path = "/api/v1/me/tokens", tag = "me", params(TokenQuery),
    responses((status = 200, description = "The tokens, latest first", body = Page<TokenItem>)))]
pub async fn list(
    state: web::Data<State>,
    guarded: Authorized<AccountRead, Query<TokenQuery>>,
) -> Result<HttpResponse, Problem> {
    let Query(query) = guarded.input;
    list_of(&state, guarded.caller.user_id, &query).await
}

/// A page of a user's good tokens.
///
/// # Errors
/// `validation_failed`; a fault of ours as a 5xx.
pub async fn list_of(state: &State, user_id: Uuid, query: &TokenQuery) -> Result<HttpResponse, Problem> {
    let list = format!("tokens of {user_id}");
    let request = PageRequest::read(&state.core.secret_keys, list, query.limit, query.cursor.as_deref())?;
    let (before, rows) = (request.before, request.rows());
    let tokens = state
        .core
        .database
        .run(move |connection| personal_token::list(connection, Some(user_id), before, rows))
        .await?;
    Ok(private(HttpResponse::Ok()).json(request.page(
        &state.core.secret_keys,
        tokens,
        |token| token.id,
        item,
    )))
}

/// Makes a token. Asks for a recent sign-in.
#[utoipa::path(post, path = "/api/v1/me/tokens", tag = "me", request_body = NewTokenRequest,
    responses((status = 201, description = "The token, shown this once", body = TokenItem)))]
pub async fn create(
    state: web::Data<State>,
    guarded: Authorized<FreshAccountWrite, Draft<NewTokenRequest>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: draft, origin, .. } = guarded;
    let mistakes = draft.value().mistakes(&state, &caller).await?;
    let request = draft.finish(mistakes)?;
    let (plain, token) = MakePersonalToken { request }.run(&state, &caller, origin).await?;
    let location = format!("/api/v1/me/tokens/{}", token.id);
    let shown = TokenItem { token: Some(plain.expose().to_owned()), ..item(token) };
    Ok(no_store(HttpResponse::Created()).insert_header((LOCATION, location)).json(shown))
}

/// Revokes one of my tokens; one that is not mine is not found.
#[utoipa::path(delete, path = "/api/v1/me/tokens/{id}", tag = "me", params(("id" = Uuid, Path)),
    responses((status = 204, description = "It is revoked")))]
pub async fn revoke(
    state: web::Data<State>,
    guarded: Authorized<AccountWrite, Path<Uuid>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: Path(id), origin, .. } = guarded;
    let was_good = RevokeOwnToken { id }.run(&state, &caller, origin).await?;
    if was_good { Ok(private(HttpResponse::NoContent()).finish()) } else { Err(not_found()) }
}
