//! `GET` and `PATCH /api/v1/me`: shows the caller's account and credential, and changes the username or
//! e-mail address.

use actix_web::http::header::{ContentType, ETAG};
use actix_web::{HttpResponse, web};
use serde::Serialize;
use uuid::Uuid;

use crate::guard::requirements::AccountWrite;
use crate::guard::{AnyCaller, Authorized, Caller, refusals};
use crate::http::conditions::{Conditions, IfMatch, IfNoneMatch};
use crate::http::fields::Draft;
use crate::http::response::private;
use crate::operations::own_account::ChangeProfile;
use crate::operations::own_account::MeChanges;
use crate::operations::user_tag::{Expected, own_entity_tag};
use crate::refusal::{self, Refusal};
use crate::state::State;
use crate::tokens::names::Names;

/// The caller's account, with the credential of the request.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Me<'a> {
    /// The ID of the user.
    pub id: Uuid,
    /// The username of the user.
    #[schema(example = "alice")]
    pub username: &'a str,
    /// The e-mail address of the user.
    pub email: Option<&'a str>,
    /// The role of the user.
    #[schema(example = "member")]
    pub role: &'a str,
    /// The permissions of the role.
    #[schema(value_type = Vec<String>)]
    pub permissions: &'a Names,
    /// The credential of the request.
    pub credential: MyCredential<'a>,
}

/// The credential that a request was sent with.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct MyCredential<'a> {
    /// `access_token`, `session_cookie` or `personal_token`.
    #[schema(example = "access_token")]
    pub kind: &'static str,
    /// The scope of the credential.
    #[schema(value_type = Vec<String>)]
    pub scope: &'a Names,
    /// The session of the credential; null for a personal token.
    pub session_id: Option<Uuid>,
    /// The time when the user last entered the password; null for a personal token.
    #[schema(format = DateTime)]
    pub auth_time: Option<String>,
    /// The time when the credential expires.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// The token that unsafe requests with a session cookie must send as `X-CSRF-Token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<&'a str>,
}

/// Shows the caller's own account and credential.
///
/// Requires no permission.
#[utoipa::path(get, path = "/api/v1/me", tag = "me", params(IfNoneMatch),
    responses((status = 200, description = "Oneself", body = Me),
        (status = 304, description = "Still the version that `If-None-Match` names")))]
pub(crate) async fn show(guarded: Authorized<AnyCaller, Conditions>) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: conditions, .. } = guarded;
    let (tag, body) = shown(&caller)?;
    conditions.check_match(&tag)?;
    if conditions.is_unmodified(&tag) {
        return Ok(private(HttpResponse::NotModified()).insert_header((ETAG, tag)).finish());
    }
    Ok(answer(tag, body))
}

/// Returns the entity tag and the body that describe the caller.
fn shown(caller: &Caller) -> Result<(String, String), Refusal> {
    let body = serde_json::to_string(&me(caller)).map_err(|_| refusal::internal())?;
    Ok((own_entity_tag(caller, &body), body))
}

fn answer(tag: String, body: String) -> HttpResponse {
    private(HttpResponse::Ok()).insert_header((ETAG, tag)).content_type(ContentType::json()).body(body)
}

fn me(caller: &Caller) -> Me<'_> {
    let credential = &caller.credential;
    Me {
        id: caller.user_id,
        username: &caller.username,
        email: caller.email.as_deref(),
        role: &caller.role,
        permissions: &caller.permissions,
        credential: MyCredential {
            kind: credential.kind(),
            scope: &caller.scope,
            session_id: credential.session_id(),
            auth_time: credential.auth_time().map(refusals::time),
            expires_at: refusals::time(credential.expires_at()),
            csrf_token: credential.csrf_token(),
        },
    }
}

/// Changes the username or e-mail address of the caller.
#[utoipa::path(patch, path = "/api/v1/me", tag = "me", params(IfMatch), request_body = MeChanges,
    responses((status = 200, description = "The changed account", body = Me)))]
pub(crate) async fn update(
    state: web::Data<State>,
    guarded: Authorized<AccountWrite, (Conditions, Draft<MeChanges>)>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { mut caller, input: (conditions, draft), origin, .. } = guarded;
    let mistakes = draft.value().mistakes(&caller);
    let request = draft.finish(mistakes)?;
    let expected = Expected::Tagged(conditions);
    let user = ChangeProfile { request, expected }.run(&state, &caller, origin).await?;
    caller.username = user.username;
    caller.email = user.email;
    let (tag, body) = shown(&caller)?;
    Ok(answer(tag, body))
}
