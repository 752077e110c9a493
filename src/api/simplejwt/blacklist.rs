//! `POST /api/token/blacklist/`: ends the session that a refresh token belongs to, and with it its access tokens.

use actix_web::{HttpRequest, HttpResponse, web};

use super::body::Sent;
use super::refresh::RefreshToken;
use super::refusal::Refusals;
use super::{Nothing, answer};
use crate::audit::Origin;
use crate::guard::input::{From, Open};
use crate::guard::trace::Trace;
use crate::guard::{Services, checks, refusal};
use crate::problem::Problem;
use crate::sessions::{EndReason, Which, refresh_token};

/// Signs out, as simplejwt's TokenBlacklistView. Any genuine refresh token of a session that lives ends it, a spent one
/// too.
#[utoipa::path(post, path = "/api/token/blacklist/", tag = "simplejwt", operation_id = "simplejwt_blacklist", security(()),
    request_body(content((RefreshToken = "application/json"), (RefreshToken = "application/x-www-form-urlencoded"),
        (RefreshToken = "multipart/form-data"))),
    responses((status = 200, description = "The session has ended", body = Nothing), Refusals))]
pub async fn blacklist(
    services: web::Data<Services>,
    asked: HttpRequest,
    from: From,
    Open(Sent(sent)): Open<Sent<RefreshToken>>,
) -> Result<HttpResponse, Problem> {
    let mut trace = Trace::default();
    let ended = end(&services, &sent.refresh, from.0, &mut trace).await;
    trace.keep(&asked);
    ended?;
    Ok(answer(&Nothing {}))
}

async fn end(services: &Services, text: &str, origin: Origin, trace: &mut Trace) -> Result<(), Problem> {
    let token = checks::read_refresh_token(services, text, trace)?;
    // Tells why there is nothing to end. Whether there is, is decided below.
    services.check_session_of(&token, trace).await?;
    let which = Which::OfRefreshToken(token.session_id, refresh_token::digest(&token.secret));
    let ended = services.end_own_sessions(which, EndReason::Logout, origin).await?;
    if ended.is_empty() {
        // Another request was faster by a hair.
        services.check_session_of(&token, trace).await?;
        return Err(refusal::session_unknown());
    }
    Ok(())
}
