//! The password once more within a session: for what asks for a recent sign-in (RFC 9470), and before one's own name,
//! address or password is changed.

use serde_json::{Value, json};
use uuid::Uuid;

use super::caller::Caller;
use super::refusal;
use super::services::Services;
use super::sign_in::{ATTEMPTS, changed_meanwhile};
use crate::audit::event::{self, EventType, Origin, Subject};
use crate::blocking::caller;
use crate::problem::Problem;
use crate::sessions::{Lapse, NewSecret, SteppedUp, Verified, step_up};
use crate::users::attempts::{Outcome, Reservation};
use crate::users::password::PlainPassword;

impl Services {
    /// Verifies the password of a session's user; the session's `auth_time` is then now, and this is its secret.
    ///
    /// # Errors
    /// `validation_failed` at `pointer` for a wrong one, `too_many_attempts`, `session_ended`, `account_disabled`,
    /// `account_deleted`; a fault of ours as a 5xx.
    pub async fn step_up(
        &self,
        caller: &Caller,
        session_id: Uuid,
        password: PlainPassword,
        pointer: &str,
        secret: NewSecret,
        origin: Origin,
    ) -> Result<SteppedUp, Problem> {
        for _ in 0..ATTEMPTS {
            let failed = (EventType::StepUpFailed, json!({}));
            let verified_hash = self.verify_again(caller, password.clone(), pointer, &origin, failed).await?;
            let (user_id, limits, origin) = (caller.user_id, self.limits.clone(), origin.clone());
            let stepped_up = self.database.transaction(move |connection| {
                let user = (user_id, verified_hash.as_str());
                step_up::step_up(connection, session_id, user, &secret, &limits, &origin)
            });
            if let Some(stepped_up) = made(stepped_up.await.map_err(refusal::database)?)? {
                return Ok(stepped_up);
            }
        }
        Err(changed_meanwhile())
    }

    /// Verifies the caller's own password before a change; gives the hash that it was verified against. A wrong one
    /// counts as a failed sign-in.
    ///
    /// # Errors
    /// `validation_failed` at `/current_password` for a wrong one, `too_many_attempts`; a fault of ours as a 5xx.
    pub async fn verify_current(
        &self,
        caller: &Caller,
        password: PlainPassword,
        origin: &Origin,
    ) -> Result<String, Problem> {
        let failed = (EventType::LoginFailed, json!({ "code": "wrong_password" }));
        self.verify_again(caller, password, "/current_password", origin, failed).await
    }

    /// A wrong password is no 401, which would make clients refresh or sign out.
    async fn verify_again(
        &self,
        caller: &Caller,
        password: PlainPassword,
        pointer: &str,
        origin: &Origin,
        failed: (EventType, Value),
    ) -> Result<String, Problem> {
        let reservation = self.reserve_sign_in(&caller.username, origin).await?;
        match self.verify_reserved(caller, password).await {
            Ok(Some(hash)) => {
                self.settle(reservation, Outcome::Right).await?;
                Ok(hash)
            }
            Ok(None) => {
                self.note_wrong_password(caller, origin, failed, reservation).await?;
                Err(refusal::wrong_password(pointer))
            }
            Err(problem) => Err(self.give_back_refused(reservation, problem).await),
        }
    }

    async fn verify_reserved(
        &self,
        caller: &Caller,
        password: PlainPassword,
    ) -> Result<Option<String>, Problem> {
        let hash = self.password_hash_of(caller.user_id).await?;
        let claim = caller::current().claim_of_password();
        let verified =
            self.passwords.verify(claim, hash.clone(), password).await.map_err(refusal::hashing)?;
        Ok(hash.filter(|_| verified.is_some()))
    }

    async fn note_wrong_password(
        &self,
        caller: &Caller,
        origin: &Origin,
        (event_type, details): (EventType, Value),
        reservation: Reservation,
    ) -> Result<(), Problem> {
        let (user_id, username, origin) = (caller.user_id, caller.username.clone(), origin.clone());
        self.database
            .transaction(move |connection| {
                let subject = Subject { id: Some(user_id), name: Some(&username) };
                event::insert(connection, &origin, event_type, subject, &details)?;
                reservation.settle(connection, Outcome::Failed)
            })
            .await
            .map_err(refusal::database)
    }
}

/// `None`: the password has to be verified again.
pub(super) fn made<T>(verified: Verified<T>) -> Result<Option<T>, Problem> {
    match verified {
        Verified::Done(done) => Ok(Some(done)),
        Verified::Outdated => Ok(None),
        Verified::Lapsed(lapse) => Err(lapsed(lapse)),
    }
}

/// What the guard would say now of a caller whom it let in.
pub(super) fn lapsed(lapse: Lapse) -> Problem {
    match lapse {
        Lapse::SessionEnded(at, reason) => refusal::session_ended(at, &reason),
        Lapse::SessionUnknown => refusal::session_unknown(),
        Lapse::AccountDeleted => refusal::account_deleted(),
        Lapse::AccountDisabled => refusal::account_disabled(),
    }
}
