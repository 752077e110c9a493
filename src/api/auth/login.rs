//! `POST /api/v1/auth/login`: verifies a password and issues the first tokens of a new session.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::guard::origin::RequestOrigin;
use crate::guard::trace::Trace;
use crate::http::fields::{AuditedLabel, Scope, json_object};
use crate::http::request::{Json, Public};
use crate::http::response::no_store;
use crate::operations::issue_tokens;
use crate::operations::sign_in::SignIn;
use crate::random;
use crate::refusal::Refusal;
use crate::sessions::{SessionSecret, refresh_token};
use crate::state::State;
use crate::users::password::PlainPassword;

/// The maximum number of characters in the name of a device.
const DEVICE_MAX: usize = 100;

json_object! {
    /// The credentials of a user, and optional properties of the new session.
    pub struct LoginRequest {
        /// The username or the e-mail address.
        #[example = "alice"]
        pub username: String,
        /// The password.
        pub password: PlainPassword,
        /// A narrower scope for the whole session. If omitted, each refresh grants what the user's role
        /// permits at that time.
        pub scope: Option<Scope>,
        /// A name for the device, shown in the list of sessions; at most 100 characters.
        #[example = "curl on my laptop"]
        pub device: Option<AuditedLabel<DEVICE_MAX>>,
    }
}

/// Signs in with a password, and starts a session.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = LoginRequest, security(()),
    responses((status = 200, description = "The tokens of a new session", body = crate::operations::issue_tokens::TokenAnswer)))]
pub async fn login(
    state: web::Data<State>,
    asked: HttpRequest,
    from: RequestOrigin,
    Public(Json(request)): Public<Json<LoginRequest>>,
) -> Result<HttpResponse, Refusal> {
    Trace::of_password().keep(&asked);
    let secret = random::bytes();
    let wanted = SignIn {
        username: request.username,
        password: request.password,
        scope: request.scope.map(|Scope(names)| names),
        device: request.device.map(|AuditedLabel(name)| name),
        secret: SessionSecret::RefreshToken(refresh_token::digest(&secret)),
        replaces: None,
    };
    let grant = wanted.run(&state, &from.0).await?;
    let answer = issue_tokens::token_answer(
        &state,
        &grant,
        None,
        &issue_tokens::refresh_token(&state, &grant, secret),
    )?;
    Ok(no_store(HttpResponse::Ok()).json(answer))
}
