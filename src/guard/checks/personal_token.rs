//! Checks personal access tokens.

use super::evidence::{self, note_kind};
use super::owner::{caller, check_status, find_user};
use crate::guard::caller::{Caller, Credential};
use crate::guard::check::{Check, CredentialKind};
use crate::guard::lookup;
use crate::guard::refusals::{self, refuse_if};
use crate::guard::trace::{Evidence, Trace};
use crate::refusal::{Code, Problem};
use crate::state::State;
use crate::tokens::owner::Holder;
use crate::tokens::personal_token::{self, TokenStanding};
use crate::users::name::fold_typed;

pub(super) async fn identify_basic(
    state: &State,
    username: &str,
    token: &str,
    trace: &mut Trace,
) -> Result<Caller, Problem> {
    if !token.starts_with(personal_token::PREFIX) {
        trace.stop(Check::Form);
        let detail = "Basic accepts a personal access token (dwp_…) as the password, but not the account's \
                      password. Create one at POST /api/v1/me/tokens.";
        return Err(Problem::new(Code::TokenMalformed, detail));
    }
    identify_personal_token(state, token, Some(username), trace).await
}

pub(super) async fn identify_personal_token(
    state: &State,
    token: &str,
    username: Option<&str>,
    trace: &mut Trace,
) -> Result<Caller, Problem> {
    note_kind(trace, CredentialKind::PersonalToken);
    let parsed = personal_token::parse(token).map_err(refusals::personal_token_flaw);
    let form = || evidence::form("dwp_, 43 characters and a checksum of 6 characters", token);
    let digest = trace.run(Check::Form, form, parsed)?;
    let found = lookup::personal_token_standing(state, digest).await;
    let found = found.and_then(|found| found.ok_or_else(refusals::personal_token_unknown));
    let standing = trace.check(Check::Signature, found)?;
    trace.credential_id = Some(standing.id);
    trace.user_id = standing.user.as_ref().map(|user| user.id);
    let expires_at = standing.expires_at;
    trace.find(Check::Signature, || Evidence::new("the digest of a token that was created here", "found"));
    trace.find(Check::Times, || {
        // Use the clock that decided.
        let now = state.core.database_clock.now().unwrap_or_else(|| state.core.clock.now());
        evidence::before(expires_at, now)
    });
    let user = check_personal_token(&standing, username, trace)?;
    if !trace.explains() {
        state.recorder.last_use.note_personal_token(standing.id);
    }
    let credential = Credential::PersonalToken { id: standing.id, expires_at, digest };
    Ok(caller(user, standing.scope.clone(), credential))
}

/// Checks a personal token, in order. Returns its user.
pub(in crate::guard) fn check_personal_token<'a>(
    standing: &'a TokenStanding,
    username: Option<&str>,
    trace: &mut Trace,
) -> Result<&'a Holder, Problem> {
    trace.check(Check::Times, refuse_if(standing.expired_at, refusals::personal_token_expired))?;
    let revoked = standing.revoked.as_ref();
    let refused = refuse_if(revoked, refusals::personal_token_revoked);
    trace.run(Check::Revocation, || evidence::revocation(revoked), refused)?;
    let user = find_user(standing.user.as_ref(), trace)?;
    let other_name = username.filter(|name| !is_name_of(user, name));
    trace.check(Check::User, refuse_if(other_name, |_| refusals::basic_name_mismatch()))?;
    trace.check(Check::User, check_status(&user.status))?;
    Ok(user)
}

fn is_name_of(user: &Holder, typed: &str) -> bool {
    let typed = fold_typed(typed);
    let mut names = [Some(user.username.as_str()), user.email.as_deref()].into_iter().flatten();
    typed.is_some() && names.any(|name| fold_typed(name) == typed)
}
