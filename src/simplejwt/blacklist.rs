//! `POST /api/token/blacklist/`: ends the session of a refresh token, and with it its access tokens.

use actix_web::{HttpRequest, HttpResponse, web};

use super::answer::{Nothing, answer};
use super::body::SentBody;
use super::refresh::RefreshToken;
use super::refusal::Refusals;
use crate::audit::Origin;
use crate::explain::explanation;
use crate::guard::origin::RequestOrigin;
use crate::guard::trace::Trace;
use crate::guard::{checks, refusals};
use crate::http::request::Public;
use crate::operations::own_account::SignOut;
use crate::refusal::Refusal;
use crate::sessions::{SessionSelection, refresh_token};
use crate::state::State;

/// Ends the session of a refresh token, like simplejwt's TokenBlacklistView.
///
/// Any refresh token of an active session works, even one that was used.
#[utoipa::path(post, path = "/api/token/blacklist/", tag = "simplejwt", operation_id = "simplejwt_blacklist", security(()),
    request_body(content((RefreshToken = "application/json"), (RefreshToken = "application/x-www-form-urlencoded"),
        (RefreshToken = "multipart/form-data"))),
    responses((status = 200, description = "The session ended", body = Nothing), Refusals))]
pub(crate) async fn blacklist(
    state: web::Data<State>,
    head: HttpRequest,
    from: RequestOrigin,
    Public(SentBody(sent)): Public<SentBody<RefreshToken>>,
) -> Result<HttpResponse, Refusal> {
    let mut trace = Trace::default();
    let ended = end(&state, &sent.refresh, from.0, &mut trace).await;
    trace.keep(&head);
    ended?;
    Ok(answer(&Nothing {}))
}

async fn end(state: &State, text: &str, origin: Origin, trace: &mut Trace) -> Result<(), Refusal> {
    let token = checks::read_refresh_token(state, text, trace)?;
    // This explains why there is no session to end. `SignOut` below decides whether there is one.
    explanation::check_session_of(state, &token, trace).await?;
    let which = SessionSelection::OfRefreshToken(token.session_id, refresh_token::digest(&token.secret));
    let ended = SignOut { which }.run(state, origin).await?;
    if ended.is_empty() {
        // Another request ended the session in between.
        explanation::check_session_of(state, &token, trace).await?;
        return Err(refusals::session_unknown());
    }
    Ok(())
}
