//! Verifies the password again within a session. Requests that need a recent sign-in require that (RFC 9470),
//! and so do changes of one's own name, address or password.

use uuid::Uuid;

use super::sign_in::{ATTEMPTS, changed_meanwhile};
use crate::audit::{EventDetails, Origin, Subject};
use crate::blocking::caller;
use crate::guard::caller::Caller;
use crate::guard::refusals;
use crate::limits::counters::AttemptOutcome;
use crate::operations::throttle;
use crate::refusal::Refusal;
use crate::sessions::{Invalidation, NewSecret, SteppedUp, VerifiedChange, step_up};
use crate::state::State;
use crate::users::password::PlainPassword;

/// Verifies the password of a session's user, sets the session's `auth_time` to now and replaces its secret.
pub(crate) struct StepUp<'a> {
    pub session_id: Uuid,
    pub password: PlainPassword,
    pub pointer: &'a str,
    pub secret: NewSecret,
}

impl<'a> StepUp<'a> {
    /// # Errors
    /// `validation_failed` at `pointer` for a wrong password, `too_many_attempts`, `session_ended`,
    /// `account_disabled`, `account_deleted`.
    pub(crate) async fn run(
        self,
        state: &State,
        caller: &Caller,
        origin: Origin,
    ) -> Result<SteppedUp, Refusal> {
        let Self { session_id, password, pointer, secret } = self;
        for _ in 0..ATTEMPTS {
            let failed = EventDetails::StepUpFailed {};
            let verified_hash =
                verify_again(state, caller, password.clone(), pointer, &origin, failed).await?;
            let (user_id, limits, origin) = (caller.user_id, state.tokens.lifetimes.clone(), origin.clone());
            let stepped_up = state.core.database.transaction(move |connection| {
                let user = (user_id, verified_hash.as_str());
                step_up::step_up(connection, session_id, user, &secret, &limits, &origin)
            });
            if let Some(stepped_up) = made(stepped_up.await?)? {
                return Ok(stepped_up);
            }
        }
        Err(changed_meanwhile())
    }
}

/// Verifies the caller's own password before a change. Returns the hash that it was verified against. A wrong
/// password counts as a failed sign-in.
///
/// # Errors
/// `validation_failed` at `/current_password` for a wrong password, `too_many_attempts`.
pub(crate) async fn verify_current(
    state: &State,
    caller: &Caller,
    password: PlainPassword,
    origin: &Origin,
) -> Result<String, Refusal> {
    let failed = EventDetails::LoginFailed { code: "wrong_password".to_owned(), known: None };
    verify_again(state, caller, password, "/current_password", origin, failed).await
}

/// Verifies the password. A wrong one is not a 401, which would make clients refresh or sign out.
async fn verify_again(
    state: &State,
    caller: &Caller,
    password: PlainPassword,
    pointer: &str,
    origin: &Origin,
    failed: EventDetails,
) -> Result<String, Refusal> {
    let reservation = throttle::reserve_sign_in(state, &caller.username, origin).await?;
    match verify_reserved(state, caller, password).await {
        Ok(Some(hash)) => {
            throttle::settle(state, reservation, AttemptOutcome::Succeeded).await?;
            Ok(hash)
        }
        Ok(None) => {
            let subject = Subject { id: Some(caller.user_id), name: Some(&caller.username) };
            throttle::record_failure(state, reservation, subject, failed, origin).await?;
            Err(refusals::wrong_password(pointer))
        }
        Err(refusal) => Err(throttle::release_refused(state, reservation, refusal).await),
    }
}

async fn verify_reserved(
    state: &State,
    caller: &Caller,
    password: PlainPassword,
) -> Result<Option<String>, Refusal> {
    let hash = password_hash_of(state, caller.user_id).await?;
    let claim = caller::current().claim_of_password();
    let verified = state.core.passwords.verify(claim, hash.clone(), password).await?;
    Ok(hash.filter(|_| verified.is_some()))
}

/// Returns the stored hash of a user's password.
pub(crate) async fn password_hash_of(state: &State, user_id: Uuid) -> Result<Option<String>, Refusal> {
    state
        .core
        .database
        .run(move |connection| crate::users::user::find_password_hash(connection, user_id))
        .await
        .map_err(Refusal::from)
}

/// Returns `None` if the password must be verified again.
fn made<T>(verified: VerifiedChange<T>) -> Result<Option<T>, Refusal> {
    match verified {
        VerifiedChange::Done(done) => Ok(Some(done)),
        VerifiedChange::Outdated => Ok(None),
        VerifiedChange::Invalidated(invalidation) => Err(invalidated(invalidation)),
    }
}

/// Returns the refusal that the guard would give the caller now.
fn invalidated(invalidation: Invalidation) -> Refusal {
    match invalidation {
        Invalidation::SessionEnded(ended) => refusals::session_ended(&ended),
        Invalidation::SessionUnknown => refusals::session_unknown(),
        Invalidation::AccountDeleted => refusals::account_deleted(),
        Invalidation::AccountDisabled => refusals::account_disabled(),
    }
}
