//! `GET` and `PATCH /api/v1/me`: who I am, and by which credential; another name or address for myself.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use uuid::Uuid;

use crate::guard::requirements::AccountWrite;
use crate::guard::{AnyCaller, Authorized, Caller, refusals};
use crate::http::request::Json;
use crate::http::response::private;
use crate::operations::own_account::ChangeProfile;
use crate::operations::own_account::MeChanges;
use crate::operations::user_tag::Expected;
use crate::refusal::Problem;
use crate::state::State;
use crate::tokens::names::Names;

/// Oneself.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Me {
    /// The user's id.
    pub id: Uuid,
    /// The user's name.
    #[schema(example = "alice")]
    pub username: String,
    /// The user's e-mail address.
    pub email: Option<String>,
    /// The user's role.
    #[schema(example = "member")]
    pub role: String,
    /// What the role may.
    #[schema(value_type = Vec<String>)]
    pub permissions: Names,
    /// What was sent to prove it.
    pub credential: MyCredential,
}

/// The credential that a request was sent with.
#[derive(Serialize, utoipa::ToSchema)]
pub struct MyCredential {
    /// `access_token`, `session_cookie` or `personal_token`.
    #[schema(example = "access_token")]
    pub kind: &'static str,
    /// What it may do.
    #[schema(value_type = Vec<String>)]
    pub scope: Names,
    /// The session that it belongs to; null for a personal token.
    pub session_id: Option<Uuid>,
    /// When the user last gave the password; null for a personal token.
    #[schema(format = DateTime)]
    pub auth_time: Option<String>,
    /// When it expires.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// What the unsafe requests of a browser's session carry as `X-CSRF-Token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<String>,
}

/// Shows oneself. Needs no permission.
#[utoipa::path(get, path = "/api/v1/me", tag = "me", responses((status = 200, description = "Oneself", body = Me)))]
pub async fn show(guarded: Authorized<AnyCaller>) -> HttpResponse {
    private(HttpResponse::Ok()).json(me(guarded.caller))
}

fn me(caller: Caller) -> Me {
    let csrf_token = caller.credential.csrf_token().map(str::to_owned);
    let credential = MyCredential {
        kind: caller.credential.kind(),
        scope: caller.scope,
        session_id: caller.credential.session_id(),
        auth_time: caller.credential.auth_time().map(refusals::time),
        expires_at: refusals::time(caller.credential.expires_at()),
        csrf_token,
    };
    Me {
        id: caller.user_id,
        username: caller.username,
        email: caller.email,
        role: caller.role,
        permissions: caller.permissions,
        credential,
    }
}

/// Changes oneself.
#[utoipa::path(patch, path = "/api/v1/me", tag = "me", request_body = MeChanges,
    responses((status = 200, description = "Oneself, changed", body = Me)))]
pub async fn update(
    state: web::Data<State>,
    guarded: Authorized<AccountWrite, Json<MeChanges>>,
) -> Result<HttpResponse, Problem> {
    let Authorized { mut caller, input: Json(request), origin, .. } = guarded;
    let user = ChangeProfile { request, expected: Expected::Anything }.run(&state, &caller, origin).await?;
    caller.username = user.username;
    caller.email = user.email;
    Ok(private(HttpResponse::Ok()).json(me(caller)))
}
