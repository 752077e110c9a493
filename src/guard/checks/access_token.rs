//! Checks access tokens.

use std::sync::Arc;

use uuid::Uuid;

use super::evidence::{self, note_kind};
use super::owner::{caller, check_status, check_user};
use crate::guard::caller::{Caller, Credential};
use crate::guard::check::{Check, CredentialKind};
use crate::guard::lookup::{self, Found};
use crate::guard::refusals::{self, refuse_if};
use crate::guard::trace::Trace;
use crate::refusal::Problem;
use crate::sessions::Standing;
use crate::state::State;
use crate::tokens::access_token::{AccessTokenFlaw, Claims, Signed};
use crate::tokens::owner::Holder;

/// The checks that need only the token itself, in order.
pub(super) const OF_ACCESS_TOKEN: [Check; 6] =
    [Check::Form, Check::Key, Check::Signature, Check::Times, Check::Issuer, Check::Type];

/// Returns the check that finds this error.
fn check_of(flaw: &AccessTokenFlaw) -> Check {
    match flaw {
        AccessTokenFlaw::Malformed => Check::Form,
        AccessTokenFlaw::KeyUnknown
        | AccessTokenFlaw::KeyRevoked { .. }
        | AccessTokenFlaw::KeyRetired { .. } => Check::Key,
        AccessTokenFlaw::SignatureInvalid => Check::Signature,
        AccessTokenFlaw::Expired { .. } | AccessTokenFlaw::NotYetValid { .. } => Check::Times,
        AccessTokenFlaw::IssuerMismatch { .. } | AccessTokenFlaw::AudienceMismatch { .. } => Check::Issuer,
        AccessTokenFlaw::TypeMismatch { .. } => Check::Type,
    }
}

/// Records the IDs in the claims.
pub(super) fn note_ids(trace: &mut Trace, claims: &Claims) {
    trace.credential_id = Some(claims.jti);
    trace.session_id = Some(claims.sid);
    trace.user_id = Some(claims.sub);
}

/// Stops at the check that finds this error, after those before it.
pub(super) fn refuse_flaw(flaw: AccessTokenFlaw, trace: &mut Trace) -> Problem {
    trace.pass_until(&OF_ACCESS_TOKEN, check_of(&flaw));
    trace.stop(check_of(&flaw));
    refusals::access_token_flaw(flaw)
}

/// Runs the checks that need only the token itself.
async fn verify_access_token(state: &State, token: &str, trace: &mut Trace) -> Result<Arc<Signed>, Problem> {
    let mut signed = lookup::signed_access_token(state, token);
    if let Err(AccessTokenFlaw::KeyUnknown | AccessTokenFlaw::KeyRetired { .. }) = signed {
        // Another node may have read a new key, or a key's later retirement, a few milliseconds earlier.
        state.core.database.feed().wait_for_next_read().await;
        signed = lookup::signed_access_token(state, token);
    }
    let now = state.core.clock.now();
    if let Ok(signed) = &signed {
        let claims = &signed.claims;
        note_ids(trace, claims);
        evidence::note_claims(trace, claims, &state.tokens.issuer.url, now);
        if !trace.explains() {
            // Record this even if the request is refused, because it proves that the response with the token
            // arrived.
            state.recorder.last_use.note_presented(claims.sid, claims.generation);
        }
    }
    let verified = signed.and_then(|signed| signed.judge(&state.tokens.issuer, now).map(|()| signed));
    match verified {
        Ok(signed) => {
            trace.pass_until(&OF_ACCESS_TOKEN, Check::Revocation);
            Ok(signed)
        }
        Err(flaw) => Err(refuse_flaw(flaw, trace)),
    }
}

pub(super) async fn identify_access_token(
    state: &State,
    token: &str,
    trace: &mut Trace,
) -> Result<Caller, Problem> {
    note_kind(trace, CredentialKind::AccessToken);
    let signed = verify_access_token(state, token, trace).await?;
    let claims = &signed.claims;
    let found = lookup::session_standing(state, claims.sid, &signed.kid).await;
    let standing = match found.inspect_err(|_| trace.stop(Check::Revocation))? {
        Found::Standing(standing) => standing,
        Found::Nothing => {
            trace.stop(Check::Session);
            return Err(refusals::session_unknown());
        }
        Found::KeyRevoked => {
            // Anyone who has the key may have signed this token, so its claims prove nothing.
            trace.disprove(Check::Key);
            return Err(refusals::access_token_flaw(AccessTokenFlaw::SignatureInvalid));
        }
    };
    let user = match check_standing(claims.ver, claims.generation, &standing, trace) {
        Ok(user) => user,
        Err(Outdated::Refused(problem)) => return Err(problem),
        Err(Outdated::VersionRaised(user_id)) => {
            let raised = lookup::version_raised(state, user_id, claims.ver).await?;
            return Err(refusals::version_raised(raised));
        }
    };
    let credential = Credential::AccessToken {
        session_id: claims.sid,
        session_scope: standing.scope.clone(),
        generation: claims.generation,
        auth_time: claims.auth_time,
        expires_at: claims.exp,
        kid: signed.kid.clone(),
        version: claims.ver,
    };
    Ok(caller(user, signed.scope.clone(), credential))
}

/// The reason why an access token of a session is refused.
pub(in crate::guard) enum Outdated {
    Refused(Problem),
    /// The version of this user was increased past the token's.
    VersionRaised(Uuid),
}

impl From<Problem> for Outdated {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

/// Checks an API client's session, in order, for an access token with this version and generation.
pub(in crate::guard) fn check_standing<'a>(
    version: i64,
    generation: i32,
    standing: &'a Standing,
    trace: &mut Trace,
) -> Result<&'a Holder, Outdated> {
    if let Some(user) = &standing.user {
        trace.find(Check::Revocation, || evidence::version(version, user.version));
    }
    if let Some(user) = standing.user.as_ref().filter(|user| version < user.version) {
        if check_status(&user.status).is_err() {
            // A refresh would be refused for the same reason.
            return Ok(check_user(Some(user), trace)?);
        }
        trace.stop(Check::Revocation);
        return Err(Outdated::VersionRaised(user.id));
    }
    let replaced = refuse_if(standing.replaced_at(generation), refusals::access_token_replaced);
    trace.check(Check::Revocation, replaced)?;
    trace.run(Check::Session, || evidence::session(standing), refuse_ended(standing))?;
    Ok(check_user(standing.user.as_ref(), trace)?)
}

pub(super) fn refuse_ended(standing: &Standing) -> Result<(), Problem> {
    refuse_if(standing.ended.as_ref(), refusals::session_ended)
}
