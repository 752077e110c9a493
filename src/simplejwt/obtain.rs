//! `POST /api/token/`: verifies a password and issues the first tokens of a new session.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::answer::answer;
use super::body::{Body, FromBody, SentBody};
use super::refusal::Refusals;
use crate::guard::origin::RequestOrigin;
use crate::guard::trace::Trace;
use crate::http::request::Public;
use crate::operations::issue_tokens;
use crate::operations::sign_in::SignIn;
use crate::random;
use crate::refusal::Refusal;
use crate::sessions::{Grant, SessionSecret, refresh_token};
use crate::state::State;
use crate::tokens::access_token::TokenDialect;
use crate::users::password::PlainPassword;

/// The credentials of a user.
#[derive(utoipa::ToSchema)]
#[schema(as = SimplejwtObtain)]
pub(crate) struct Obtain {
    /// The username or the e-mail address.
    #[schema(example = "alice", pattern = r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$")]
    pub username: String,
    /// The password.
    #[schema(value_type = String, format = Password, pattern = r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$")]
    pub password: PlainPassword,
}

impl FromBody for Obtain {
    fn from_body(body: &mut Body) -> Option<Self> {
        let username = body.text("username");
        let password = body.untrimmed_text("password");
        Some(Self { username: username?, password: PlainPassword::new(&password?) })
    }
}

/// The tokens of a new session.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SimplejwtPair)]
pub(crate) struct Pair {
    /// The refresh token. It is opaque, not a JWT as with simplejwt itself.
    #[schema(example = "dwr_…")]
    pub refresh: String,
    /// The access token, to be sent as `Authorization: Bearer …`.
    pub access: String,
}

/// Signs in with a password, like simplejwt's TokenObtainPairView.
#[utoipa::path(post, path = "/api/token/", tag = "simplejwt", operation_id = "simplejwt_obtain", security(()),
    request_body(content((Obtain = "application/json"), (Obtain = "application/x-www-form-urlencoded"),
        (Obtain = "multipart/form-data"))),
    responses((status = 200, description = "A new session's tokens", body = Pair), Refusals))]
pub(crate) async fn obtain(
    state: web::Data<State>,
    head: HttpRequest,
    from: RequestOrigin,
    Public(SentBody(sent)): Public<SentBody<Obtain>>,
) -> Result<HttpResponse, Refusal> {
    Trace::of_password().keep(&head);
    let secret = random::bytes();
    let wanted = SignIn {
        username: sent.username,
        password: sent.password,
        scope: None,
        device: None,
        secret: SessionSecret::RefreshToken(refresh_token::digest(&secret)),
        replaces: None,
    };
    let grant = wanted.run(&state, &from.0).await?;
    let access = access_token(&state, &grant)?;
    let refresh = issue_tokens::refresh_token(&state, &grant, secret).expose().to_owned();
    Ok(answer(&Pair { refresh, access }))
}

/// Creates an access token that simplejwt can read.
pub(super) fn access_token(state: &State, grant: &Grant) -> Result<String, Refusal> {
    let scope = grant.scope().join(" ");
    let (token, _) =
        issue_tokens::access_token(state, grant, &scope, grant.refresh_expires_at, TokenDialect::Simplejwt)?;
    Ok(token)
}
