//! Checks access tokens.

use std::sync::Arc;

use uuid::Uuid;

use super::evidence::{self, record_kind};
use super::owner::{caller, check_status, check_user};
use crate::guard::caller::{Caller, Credential};
use crate::guard::check::{Check, CredentialKind};
use crate::guard::lookup::{self, SessionLookup};
use crate::guard::refusals::{self, refuse_if};
use crate::guard::trace::Trace;
use crate::refusal::Refusal;
use crate::sessions::SessionState;
use crate::state::State;
use crate::tokens::access_token::{AccessTokenError, Claims, Signed};
use crate::tokens::owner::Owner;

/// The checks that need only the token itself, in order.
pub(super) const OF_ACCESS_TOKEN: [Check; 6] =
    [Check::Form, Check::Key, Check::Signature, Check::Times, Check::Issuer, Check::Type];

/// Returns the check that finds this error.
fn check_of(error: &AccessTokenError) -> Check {
    match error {
        AccessTokenError::Malformed => Check::Form,
        AccessTokenError::KeyUnknown
        | AccessTokenError::KeyRevoked { .. }
        | AccessTokenError::KeyRetired { .. } => Check::Key,
        AccessTokenError::SignatureInvalid => Check::Signature,
        AccessTokenError::Expired { .. } | AccessTokenError::NotYetValid { .. } => Check::Times,
        AccessTokenError::IssuerMismatch { .. } | AccessTokenError::AudienceMismatch { .. } => Check::Issuer,
        AccessTokenError::TypeMismatch { .. } => Check::Type,
    }
}

/// Records the IDs in the claims.
pub(super) fn note_ids(trace: &mut Trace, claims: &Claims) {
    trace.credential_id = Some(claims.jti);
    trace.session_id = Some(claims.sid);
    trace.user_id = Some(claims.sub);
}

/// Stops at the check that finds this error, after those before it.
pub(super) fn refuse_flaw(error: AccessTokenError, trace: &mut Trace) -> Refusal {
    trace.pass_until(&OF_ACCESS_TOKEN, check_of(&error));
    trace.stop(check_of(&error));
    refusals::access_token_error(error)
}

/// Runs the checks that need only the token itself.
async fn verify_access_token(state: &State, token: &str, trace: &mut Trace) -> Result<Arc<Signed>, Refusal> {
    let mut signed = lookup::signed_access_token(state, token);
    if let Err(AccessTokenError::KeyUnknown | AccessTokenError::KeyRetired { .. }) = signed {
        // Another node may have read a new key, or a key's later retirement, a few milliseconds earlier.
        state.core.database.feed().wait_for_next_read().await;
        signed = lookup::signed_access_token(state, token);
    }
    let now = state.core.clock.now();
    if let Ok(signed) = &signed {
        let claims = &signed.claims;
        note_ids(trace, claims);
        evidence::record_claims(trace, claims, &state.tokens.issuer.url, now);
        if !trace.explains() {
            // Record this even if the request is refused, because it proves that the response with the token
            // arrived.
            state.recorder.last_use.record_presented(claims.sid, claims.generation);
        }
    }
    let verified = signed.and_then(|signed| signed.judge(&state.tokens.issuer, now).map(|()| signed));
    match verified {
        Ok(signed) => {
            trace.pass_until(&OF_ACCESS_TOKEN, Check::Revocation);
            Ok(signed)
        }
        Err(error) => Err(refuse_flaw(error, trace)),
    }
}

pub(super) async fn identify_access_token(
    state: &State,
    token: &str,
    trace: &mut Trace,
) -> Result<Caller, Refusal> {
    record_kind(trace, CredentialKind::AccessToken);
    let signed = verify_access_token(state, token, trace).await?;
    let claims = &signed.claims;
    let found = lookup::session_state(state, claims.sid, &signed.kid).await;
    let current = match found.inspect_err(|_| trace.stop(Check::Revocation))? {
        SessionLookup::Found(current) => current,
        SessionLookup::NotFound => {
            trace.stop(Check::Session);
            return Err(refusals::session_unknown());
        }
        SessionLookup::KeyRevoked => {
            // Anyone who has the key may have signed this token, so its claims prove nothing.
            trace.disprove(Check::Key);
            return Err(refusals::access_token_error(AccessTokenError::SignatureInvalid));
        }
    };
    let user = match check_session_state(claims.ver, claims.generation, &current, trace) {
        Ok(user) => user,
        Err(SessionCheckError::Refused(refusal)) => return Err(refusal),
        Err(SessionCheckError::VersionRaised(user_id)) => {
            let raised = lookup::version_raised(state, user_id, claims.ver).await?;
            return Err(refusals::version_raised(raised));
        }
    };
    let credential = Credential::AccessToken {
        session_id: claims.sid,
        session_scope: current.scope.clone(),
        generation: claims.generation,
        auth_time: claims.auth_time,
        expires_at: claims.exp,
        kid: signed.kid.clone(),
        version: claims.ver,
    };
    Ok(caller(user, signed.scope.clone(), credential))
}

/// The reason why an access token of a session is refused.
pub(in crate::guard) enum SessionCheckError {
    Refused(Refusal),
    /// The version of this user was increased past the token's.
    VersionRaised(Uuid),
}

impl From<Refusal> for SessionCheckError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Checks an API client's session, in order, for an access token with this version and generation.
pub(in crate::guard) fn check_session_state<'a>(
    version: i64,
    generation: i32,
    current: &'a SessionState,
    trace: &mut Trace,
) -> Result<&'a Owner, SessionCheckError> {
    if let Some(user) = &current.user {
        trace.add_finding(Check::Revocation, || evidence::version(version, user.version));
    }
    if let Some(user) = current.user.as_ref().filter(|user| version < user.version) {
        if check_status(&user.status).is_err() {
            // A refresh would be refused for the same reason.
            return Ok(check_user(Some(user), trace)?);
        }
        trace.stop(Check::Revocation);
        return Err(SessionCheckError::VersionRaised(user.id));
    }
    let replaced = refuse_if(current.replaced_at(generation), refusals::access_token_replaced);
    trace.check(Check::Revocation, replaced)?;
    trace.run(Check::Session, || evidence::session(current), refuse_ended(current))?;
    Ok(check_user(current.user.as_ref(), trace)?)
}

pub(super) fn refuse_ended(current: &SessionState) -> Result<(), Refusal> {
    refuse_if(current.ended.as_ref(), refusals::session_ended)
}
