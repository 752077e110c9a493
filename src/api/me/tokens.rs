//! My personal access tokens: `GET` and `POST /api/v1/me/tokens`, `DELETE /api/v1/me/tokens/{id}`.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AccountRead, AccountWrite, FreshAccountWrite};
use crate::guard::fields::{Fields, FromFields};
use crate::guard::input::{Json, Path, Query, not_found};
use crate::guard::issue::{no_store, private};
use crate::guard::page::{Page, PageRequest};
use crate::guard::{Authorized, Caller, Services, refusal};
use crate::problem::Problem;
use crate::sessions::session;
use crate::tokens::personal_token::{self, NewPersonalToken, PersonalToken, RevokeReason, Which};

/// Seconds that a token is good when nothing is said, and at most.
const TTL_DEFAULT: i64 = 90 * 86_400;
const TTL_MAX: i64 = 10 * 366 * 86_400;
/// What no personal token may carry: it could make others of itself.
const NEVER: &str = "account:write";

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
    pub created_at: String,
    /// When it expires.
    pub expires_at: String,
    /// When it was last used, to within a few seconds; null: never.
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
        created_at: refusal::time(token.created_at),
        expires_at: refusal::time(token.expires_at),
        last_used_at: token.last_used_at.map(refusal::time),
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
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Lists my good tokens.
#[utoipa::path(get, path = "/api/v1/me/tokens", tag = "me", params(TokenQuery),
    responses((status = 200, description = "The tokens, latest first", body = Page<TokenItem>)))]
pub async fn list(
    services: web::Data<Services>,
    guarded: Authorized<AccountRead, Query<TokenQuery>>,
) -> Result<HttpResponse, Problem> {
    let Query(query) = guarded.input;
    list_of(&services, guarded.caller.user_id, &query).await
}

/// A page of a user's good tokens.
///
/// # Errors
/// `validation_failed`; a fault of ours as a 5xx.
pub async fn list_of(
    services: &Services,
    user_id: Uuid,
    query: &TokenQuery,
) -> Result<HttpResponse, Problem> {
    let list = format!("tokens of {user_id}");
    let request = PageRequest::read(services, list, query.limit, query.cursor.as_deref())?;
    let (before, rows) = (request.before, request.rows());
    let tokens = services
        .database
        .run(move |connection| personal_token::list(connection, Some(user_id), before, rows))
        .await
        .map_err(refusal::database)?;
    Ok(private(HttpResponse::Ok()).json(request.page(services, tokens, |token| token.id, item)))
}

/// A token to be made.
#[derive(Clone, utoipa::ToSchema)]
pub struct NewTokenRequest {
    /// What to call it; at most 100 characters.
    #[schema(example = "backup script")]
    pub name: String,
    /// What it may do: within what this credential may.
    #[schema(value_type = String, example = "notes:read")]
    pub scope: Vec<String>,
    /// Seconds until it expires; 90 days unless said.
    #[schema(value_type = Option<i64>, default = 7_776_000)]
    pub expires_in: i64,
}

impl FromFields for NewTokenRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.text("name");
        let name = fields.within("name", name, 1, 100);
        let scope = fields.scope("scope");
        if scope.as_ref().is_some_and(|scope| scope.iter().any(|name| name == NEVER)) {
            fields.refuse("scope", "not_allowed", format!("no personal token may carry `{NEVER}`"));
        }
        let expires_in = fields.optional_integer("expires_in", 1, TTL_MAX).unwrap_or(TTL_DEFAULT);
        Some(Self { name: name?, scope: scope?, expires_in })
    }
}

/// Makes a token. Asks for a recent sign-in.
#[utoipa::path(post, path = "/api/v1/me/tokens", tag = "me", request_body = NewTokenRequest,
    responses((status = 201, description = "The token, shown this once", body = TokenItem)))]
pub async fn create(
    services: web::Data<Services>,
    guarded: Authorized<FreshAccountWrite, Json<NewTokenRequest>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: Json(request), origin, .. } = guarded;
    check_scope(&services, &caller, &request.scope).await?;
    let (plain, digest) = personal_token::mint();
    let new = NewPersonalToken {
        user_id: caller.user_id,
        name: request.name,
        digest,
        scope: request.scope,
        ttl: TimeDelta::seconds(request.expires_in),
    };
    let token = services
        .database
        .transaction(move |connection| personal_token::insert(connection, &new, &origin))
        .await
        .map_err(refusal::database)?;
    let location = format!("/api/v1/me/tokens/{}", token.id);
    let shown = TokenItem { token: Some(plain.expose().to_owned()), ..item(token) };
    Ok(no_store(HttpResponse::Created()).insert_header((LOCATION, location)).json(shown))
}

/// A new token carries nothing that its user or the credential lacks.
async fn check_scope(services: &Services, caller: &Caller, scope: &[String]) -> Result<(), Problem> {
    let denied = session::missing(Some(scope), &caller.permissions);
    if !denied.is_empty() {
        services.refuse_unknown_scope(&denied).await?;
        return Err(refusal::permission_denied(&denied, &caller.role));
    }
    let beyond = session::missing(Some(scope), &caller.scope);
    if !beyond.is_empty() {
        return Err(refusal::insufficient_scope(&beyond, &caller.scope, &caller.credential));
    }
    Ok(())
}

/// Revokes one of my tokens; one that is not mine is not found.
#[utoipa::path(delete, path = "/api/v1/me/tokens/{id}", tag = "me", params(("id" = Uuid, Path)),
    responses((status = 204, description = "It is revoked")))]
pub async fn revoke(
    services: web::Data<Services>,
    guarded: Authorized<AccountWrite, Path<Uuid>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { caller, input: Path(id), origin, .. } = guarded;
    let which = Which::OneOf(caller.user_id, id);
    let revoked = services
        .database
        .transaction(move |connection| {
            personal_token::revoke(connection, which, RevokeReason::ByUser, &origin)
        })
        .await
        .map_err(refusal::database)?;
    if revoked.is_empty() { Err(not_found()) } else { Ok(HttpResponse::NoContent().finish()) }
}
