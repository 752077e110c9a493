//! Checks personal access tokens.

use super::evidence::{self, record_kind};
use super::owner::{caller, check_status, find_user};
use crate::guard::caller::{Caller, Credential};
use crate::guard::check::{Check, CredentialKind};
use crate::guard::lookup;
use crate::guard::refusals::{self, refuse_if};
use crate::guard::trace::{Evidence, Trace};
use crate::refusal::{Code, Refusal};
use crate::state::State;
use crate::tokens::owner::Owner;
use crate::tokens::personal_token::{self, PersonalTokenState};
use crate::users::name::fold_typed;

pub(super) async fn identify_basic(
    state: &State,
    username: &str,
    token: &str,
    trace: &mut Trace,
) -> Result<Caller, Refusal> {
    if !token.starts_with(personal_token::PREFIX) {
        trace.stop(Check::Form);
        let detail = "Basic accepts a personal access token (dwp_…) as the password, but not the account's \
                      password. Create one at POST /api/v1/me/tokens.";
        return Err(Refusal::new(Code::TokenMalformed, detail));
    }
    identify_personal_token(state, token, Some(username), trace).await
}

pub(super) async fn identify_personal_token(
    state: &State,
    token: &str,
    username: Option<&str>,
    trace: &mut Trace,
) -> Result<Caller, Refusal> {
    record_kind(trace, CredentialKind::PersonalToken);
    let parsed = personal_token::parse(token).map_err(refusals::personal_token_error);
    let form = || evidence::form("dwp_, 43 characters and a checksum of 6 characters", token);
    let digest = trace.run(Check::Form, form, parsed)?;
    let found = lookup::personal_token_state(state, digest).await;
    let found = found.and_then(|found| found.ok_or_else(refusals::personal_token_unknown));
    let current = trace.check(Check::Signature, found)?;
    trace.credential_id = Some(current.id);
    trace.user_id = current.user.as_ref().map(|user| user.id);
    let expires_at = current.expires_at;
    trace.add_finding(Check::Signature, || {
        Evidence::new("the digest of a token that was created here", "found")
    });
    trace.add_finding(Check::Times, || {
        // Use the clock that decided.
        let now = state.core.database_clock.now().unwrap_or_else(|| state.core.clock.now());
        evidence::before(expires_at, now)
    });
    let user = check_personal_token(&current, username, trace)?;
    if !trace.explains() {
        state.recorder.last_use.record_personal_token(current.id);
    }
    let credential = Credential::PersonalToken { id: current.id, expires_at, digest };
    Ok(caller(user, current.scope.clone(), credential))
}

/// Checks a personal token, in order. Returns its user.
pub(in crate::guard) fn check_personal_token<'a>(
    current: &'a PersonalTokenState,
    username: Option<&str>,
    trace: &mut Trace,
) -> Result<&'a Owner, Refusal> {
    trace.check(Check::Times, refuse_if(current.expired_at, refusals::personal_token_expired))?;
    let revoked = current.revoked.as_ref();
    let refused = refuse_if(revoked, refusals::personal_token_revoked);
    trace.run(Check::Revocation, || evidence::revocation(revoked), refused)?;
    let user = find_user(current.user.as_ref(), trace)?;
    let other_name = username.filter(|name| !is_name_of(user, name));
    trace.check(Check::User, refuse_if(other_name, |_| refusals::basic_name_mismatch()))?;
    trace.check(Check::User, check_status(&user.status))?;
    Ok(user)
}

fn is_name_of(user: &Owner, typed: &str) -> bool {
    let typed = fold_typed(typed);
    let mut names = [Some(user.username.as_str()), user.email.as_deref()].into_iter().flatten();
    typed.is_some() && names.any(|name| fold_typed(name) == typed)
}
