//! Checks personal access tokens.

use super::evidence::{find_in_user, note_kind};
use super::owner::{caller, check_status};
use crate::guard::caller::{Caller, Credential};
use crate::guard::check::{Check, CredentialKind};
use crate::guard::trace::Trace;
use crate::guard::{lookup, refusals};
use crate::refusal::{Code, Problem};
use crate::state::State;
use crate::tokens::holder::Holder;
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
    trace.find(
        Check::Form,
        || "dwp_, 43 characters and a checksum of 6 characters".into(),
        || format!("{} characters", token.len()),
    );
    let digest =
        trace.check(Check::Form, personal_token::parse(token).map_err(refusals::personal_token_flaw))?;
    let found = lookup::personal_token_standing(state, digest).await;
    let found = found.and_then(|found| found.ok_or_else(refusals::personal_token_unknown));
    let standing = trace.check(Check::Signature, found)?;
    trace.credential_id = Some(standing.id);
    trace.user_id = standing.user.as_ref().map(|user| user.id);
    let expires_at = standing.expires_at;
    trace.find(Check::Signature, || "the digest of a token that was created here".into(), || "found".into());
    trace.find(
        Check::Times,
        || format!("before {}", refusals::time(expires_at)),
        || {
            // Use the clock that decided.
            let now = state.core.database_clock.now().unwrap_or_else(|| state.core.clock.now());
            format!("this server's time is {}", refusals::time(now))
        },
    );
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
    let times = standing.expired_at.map_or(Ok(()), |at| Err(refusals::personal_token_expired(at)));
    trace.check(Check::Times, times)?;
    let revocation = standing.revoked.as_ref();
    trace.find(
        Check::Revocation,
        || "not revoked".into(),
        || {
            revocation.map_or("not revoked".into(), |(at, reason)| {
                format!("revoked at {} ({})", refusals::time(*at), reason.replace('_', " "))
            })
        },
    );
    let revocation =
        revocation.map_or(Ok(()), |(at, reason)| Err(refusals::personal_token_revoked(*at, reason)));
    trace.check(Check::Revocation, revocation)?;
    let user = standing.user.as_ref().ok_or_else(refusals::account_deleted);
    let user = user.inspect_err(|_| trace.stop(Check::User))?;
    find_in_user(user, trace);
    if username.is_some_and(|name| !is_one_of(name, &[Some(&user.username), user.email.as_deref()])) {
        trace.stop(Check::User);
        return Err(refusals::basic_name_mismatch());
    }
    trace.check(Check::User, check_status(&user.status))?;
    Ok(user)
}

fn is_one_of(typed: &str, own: &[Option<&str>]) -> bool {
    let typed = fold_typed(typed);
    typed.is_some() && own.iter().flatten().any(|name| fold_typed(name) == typed)
}
