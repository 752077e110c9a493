//! Runs the checks of every guarded request, in the order of [`Check`]. The first check that fails is the
//! refusal. The [`Trace`] records how far each request came.

mod access_token;
mod evidence;
mod owner;
mod permission;
mod personal_token;
mod refresh_token;
mod session_cookie;

use actix_web::HttpRequest;

use crate::blocking;
use crate::guard::caller::Caller;
use crate::guard::check::Check;
use crate::guard::credential::{self, SentCredential};
use crate::guard::csrf;
use crate::guard::trace::Trace;
use crate::refusal::Refusal;
use crate::sessions::refresh_token::PREFIX as REFRESH_TOKEN_PREFIX;
use crate::state::State;
use crate::tokens::personal_token::PREFIX as PERSONAL_TOKEN_PREFIX;
use access_token::identify_access_token;
use personal_token::{identify_basic, identify_personal_token};
use refresh_token::refuse_refresh_token;
use session_cookie::identify_browser;

pub(super) use access_token::{SessionCheckError, check_session_state};
pub(super) use permission::check_permission;
pub(crate) use permission::permit;
pub(super) use personal_token::check_personal_token;
pub(crate) use refresh_token::read_refresh_token;
pub(super) use session_cookie::check_browser;

/// Checks the request's credential. Returns its owner as the caller.
///
/// # Errors
/// The refusal of the first check that fails.
pub(crate) async fn identify(
    state: &State,
    request: &HttpRequest,
    trace: &mut Trace,
) -> Result<Caller, Refusal> {
    let sent = read(state, request, trace)?;
    let caller = identify_sent(state, &sent, trace).await?;
    blocking::caller::set_user(caller.user_id);
    if matches!(sent, SentCredential::Basic { .. }) && !csrf::is_safe(request.method()) {
        trace.check(Check::Csrf, csrf::refuse_cross_site(request, &state.web.browser))?;
    }
    Ok(caller)
}

fn read(state: &State, request: &HttpRequest, trace: &mut Trace) -> Result<SentCredential, Refusal> {
    let sent = credential::read(request, &state.web.browser);
    if let Err(refusal) = &sent {
        trace.stop(credential::check_of(refusal.code()));
    }
    sent
}

/// Checks a credential that was already read from the request, or pasted into an explanation.
///
/// # Errors
/// The refusal of the first check that fails.
pub(crate) async fn identify_sent(
    state: &State,
    sent: &SentCredential,
    trace: &mut Trace,
) -> Result<Caller, Refusal> {
    trace.run(Check::Header, || evidence::header(sent), Ok(()))?;
    match sent {
        SentCredential::Bearer(token) if token.starts_with(PERSONAL_TOKEN_PREFIX) => {
            identify_personal_token(state, token, None, trace).await
        }
        SentCredential::Bearer(token) if token.starts_with(REFRESH_TOKEN_PREFIX) => {
            Err(refuse_refresh_token(state, token, trace))
        }
        SentCredential::Bearer(token) => identify_access_token(state, token, trace).await,
        SentCredential::Basic { username, token } => identify_basic(state, username, token, trace).await,
        SentCredential::Cookie(digest) => identify_browser(state, *digest, trace).await,
    }
}
