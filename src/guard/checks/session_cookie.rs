//! Checks session cookies.

use super::access_token::refuse_ended;
use super::evidence::record_kind;
use super::owner::{caller, check_user};
use crate::guard::caller::{Caller, Credential};
use crate::guard::check::{Check, CredentialKind};
use crate::guard::refusals::refuse_if;
use crate::guard::trace::Trace;
use crate::guard::{csrf, lookup, refusals};
use crate::refusal::Refusal;
use crate::sessions::{BrowserSessionState, CookieDigest};
use crate::state::State;
use crate::tokens::owner::Owner;

pub(super) async fn identify_browser(
    state: &State,
    cookie_digest: CookieDigest,
    trace: &mut Trace,
) -> Result<Caller, Refusal> {
    record_kind(trace, CredentialKind::SessionCookie);
    let found = lookup::browser_session_state(state, cookie_digest).await;
    let found = found.and_then(|found| found.ok_or_else(refusals::cookie_unknown));
    let browser = trace.check(Check::Signature, found)?;
    let id = browser.id;
    trace.credential_id = Some(id);
    trace.session_id = Some(id);
    trace.user_id = browser.state.user.as_ref().map(|user| user.id);
    let user = check_browser(&browser, trace)?;
    let credential = Credential::SessionCookie {
        session_id: id,
        auth_time: browser.auth_time,
        expires_at: browser.state.expires_at,
        csrf_token: csrf::token_of_session(&state.core.secret_keys, id),
        digest: cookie_digest,
    };
    Ok(caller(user, user.permissions.clone(), credential))
}

/// Checks a browser's session, in order. Returns its user.
pub(in crate::guard) fn check_browser<'a>(
    browser: &'a BrowserSessionState,
    trace: &mut Trace,
) -> Result<&'a Owner, Refusal> {
    let current = &browser.state;
    if let Some(former) = browser.former.filter(|former| former.is_over) {
        trace.stop(Check::Revocation);
        return Err(refusals::cookie_replaced(former.replaced_at));
    }
    trace.check(Check::Session, refuse_ended(current))?;
    trace.check(Check::Session, refuse_if(browser.expired_at, refusals::session_expired))?;
    check_user(current.user.as_ref(), trace)
}
