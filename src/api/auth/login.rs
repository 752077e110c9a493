//! `POST /api/v1/auth/login`: verifies a password and issues the first tokens of a new session.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::guard::origin::RequestOrigin;
use crate::guard::trace::Trace;
use crate::http::fields::{Fields, FromFields, Scope};
use crate::http::request::{Json, Open};
use crate::http::response::no_store;
use crate::operations::issue_tokens;
use crate::operations::sign_in::SignIn;
use crate::random;
use crate::refusal::Problem;
use crate::sessions::{HeldBy, refresh_token};
use crate::state::State;
use crate::users::password::PlainPassword;

/// The most characters in the name of a device.
const DEVICE_MAX: usize = 100;

/// The credentials of a user, and optional properties of the new session.
#[derive(Clone, utoipa::ToSchema)]
#[schema(as = LoginRequest)]
pub struct LoginRequest {
    /// The username or the e-mail address.
    #[schema(example = "alice")]
    pub username: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    pub password: PlainPassword,
    /// A narrower scope for the whole session. If omitted, each refresh grants what the user's role permits
    /// at that time.
    #[schema(value_type = Option<Scope>, example = "notes:read")]
    pub scope: Option<Vec<String>>,
    /// A name for the device, shown in the list of sessions; at most 100 characters.
    #[schema(example = "curl on my laptop", min_length = 1, max_length = 100)]
    pub device: Option<String>,
}

impl FromFields for LoginRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let username = fields.text("username");
        let password = fields.text("password");
        let scope = fields.optional_scope("scope");
        let device = fields.optional_text("device");
        let device = fields.audited_label("device", device, DEVICE_MAX);
        Some(Self { username: username?, password: PlainPassword::new(&password?), scope, device })
    }
}

/// Signs in with a password, and starts a session.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = LoginRequest, security(()),
    responses((status = 200, description = "A new session's tokens", body = crate::operations::issue_tokens::TokenAnswer)))]
pub async fn login(
    state: web::Data<State>,
    asked: HttpRequest,
    from: RequestOrigin,
    Open(Json(request)): Open<Json<LoginRequest>>,
) -> Result<HttpResponse, Problem> {
    Trace::of_password().keep(&asked);
    let secret = random::bytes();
    let wanted = SignIn {
        username: request.username,
        password: request.password,
        scope: request.scope,
        device: request.device,
        held_by: HeldBy::RefreshToken(refresh_token::digest(&secret)),
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
