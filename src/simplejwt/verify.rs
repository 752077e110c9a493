//! `POST /api/token/verify/`: checks an access or refresh token without using it up.

use actix_web::{HttpRequest, HttpResponse, web};

use super::answer::{Nothing, answer};
use super::body::{Body, FromBody, SentBody};
use super::refusal::Refusals;
use crate::explain::explanation;
use crate::guard::check::Check;
use crate::guard::trace::Trace;
use crate::guard::{checks, credential, refusals};
use crate::http::request::Public;
use crate::refusal::Refusal;
use crate::sessions::refresh_token;
use crate::state::State;
use crate::tokens::personal_token;

/// A token.
#[derive(utoipa::ToSchema)]
#[schema(as = SimplejwtToken)]
pub(crate) struct Token {
    /// An access or refresh token.
    #[schema(pattern = r"^[^\u0000]*[^\s\u0000\u001c-\u001f\u0085][^\u0000]*$")]
    pub token: String,
}

impl FromBody for Token {
    fn from_body(body: &mut Body) -> Option<Self> {
        body.text("token").map(|token| Self { token })
    }
}

/// Checks a token, like simplejwt's TokenVerifyView.
///
/// A refresh token passes if its session and its user are active, even if it was used.
#[utoipa::path(post, path = "/api/token/verify/", tag = "simplejwt", operation_id = "simplejwt_verify", security(()),
    request_body(content((Token = "application/json"), (Token = "application/x-www-form-urlencoded"),
        (Token = "multipart/form-data"))),
    responses((status = 200, description = "The token is valid", body = Nothing), Refusals))]
pub(crate) async fn verify(
    state: web::Data<State>,
    head: HttpRequest,
    Public(SentBody(sent)): Public<SentBody<Token>>,
) -> Result<HttpResponse, Refusal> {
    let mut trace = Trace::default();
    let good = check_token(&state, &sent.token, &mut trace).await;
    trace.keep(&head);
    good?;
    Ok(answer(&Nothing {}))
}

async fn check_token(state: &State, text: &str, trace: &mut Trace) -> Result<(), Refusal> {
    let is_personal = text.starts_with(personal_token::PREFIX);
    if !is_personal && !text.starts_with(refresh_token::PREFIX) {
        let sent = credential::SentCredential::Bearer(text.to_owned());
        return checks::identify_sent(state, &sent, trace).await.map(|_| ());
    }
    // A personal token is neither of the two, and is refused here as well.
    let token = checks::read_refresh_token(state, text, trace)?;
    let history = explanation::check_session_of(state, &token, trace).await?;
    let lets_in = match &history.user_status {
        Some(status) if status.is_active() => Ok(()),
        Some(_) => Err(refusals::account_disabled()),
        None => Err(refusals::account_deleted()),
    };
    trace.check(Check::User, lets_in)
}
