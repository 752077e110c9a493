//! Creates the refusals of credentials and related errors, with their codes and details.

mod credentials;
mod permissions;

use std::time::Duration;

use crate::database::DatabaseError;
use crate::http::fields::FieldErrorCode;
use crate::limits::counters::CountedBy;
use crate::limits::throttled_by::{ThrottledBy, whole_seconds};
use crate::refusal::{self, Code, FieldError, Refusal};
use crate::users::name::NameError;
use crate::users::password::PasswordError;
use crate::users::passwords::HashError;
use crate::users::user::NameTaken;

pub(crate) use crate::clock::rfc3339 as time;
pub(super) use credentials::in_words;
pub(crate) use credentials::{
    access_token_error, access_token_replaced, basic_name_mismatch, cookie_replaced, cookie_unknown,
    personal_token_error, personal_token_expired, personal_token_revoked, personal_token_unknown,
    refresh_token_error, refresh_token_reused, refresh_token_unknown, session_ended, session_expired,
    session_unknown, type_mismatch, version_raised,
};
pub(crate) use permissions::{authentication_too_old, insufficient_scope, permission_denied, scope_refused};

impl FieldErrorCode for NameError {
    fn code(&self) -> &'static str {
        self.code()
    }
}

/// The time after which a client should retry a server error.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Refuses if there is a reason to.
pub(crate) fn refuse_if<T>(reason: Option<T>, refusal: impl FnOnce(T) -> Refusal) -> Result<(), Refusal> {
    reason.map_or(Ok(()), |reason| Err(refusal(reason)))
}

/// A database error is a server error, never the client's.
impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Overloaded => Refusal::new(
                Code::Overloaded,
                "The server receives more requests than it can answer. Try again shortly.",
            )
            .retry_after(RETRY_AFTER),
            DatabaseError::Unavailable(why) => {
                tracing::warn!(%why, "the database is unavailable");
                let detail = "The database cannot be reached at the moment. Your credentials are fine. Try \
                              again shortly.";
                Refusal::new(Code::DatabaseUnavailable, detail).retry_after(RETRY_AFTER)
            }
            DatabaseError::TooExpensive => {
                let detail = "The search took too long and was canceled. Narrow it: search for a longer or \
                              rarer text, or for fewer records.";
                Refusal::new(Code::Overloaded, detail).retry_after(RETRY_AFTER)
            }
            DatabaseError::Statement(error) => {
                tracing::error!(%error, "a database statement failed");
                refusal::internal()
            }
        }
    }
}

/// A password that cannot be hashed or compared is a server error, never the client's.
impl From<HashError> for Refusal {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded => {
                let detail = "The server receives more sign-ins than it can check. Try again shortly.";
                Refusal::new(Code::Overloaded, detail).retry_after(RETRY_AFTER)
            }
            HashError::InvalidHash => {
                tracing::error!(%error, "a stored password hash could not be checked");
                refusal::internal()
            }
        }
    }
}

/// Refuses a wrong username or password, without revealing which of them is wrong.
#[must_use]
pub(crate) fn invalid_credentials() -> Refusal {
    let detail = "The username or the password is wrong. Check both and try again.";
    Refusal::new(Code::InvalidCredentials, detail)
}

/// Refuses a throttled request, with the time until the next one is allowed. For a name without an account
/// the text is the same.
#[must_use]
pub(crate) fn too_many_attempts(by: ThrottledBy, wait: Duration) -> Refusal {
    let seconds = whole_seconds(wait).max(1);
    let when = if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) };
    let detail = match by {
        ThrottledBy::Counted(CountedBy::Name | CountedBy::KnownAddress) => {
            format!("Too many wrong passwords were sent for this name. Try again in {when}.")
        }
        ThrottledBy::Counted(CountedBy::Address | CountedBy::Spray) => {
            format!("Too many sign-ins from your address have failed. Try again in {when}.")
        }
        ThrottledBy::Counted(CountedBy::Network) => {
            format!("Too many sign-ins from your network have failed. Try again in {when}.")
        }
        ThrottledBy::Counted(CountedBy::All) => format!(
            "Too many sign-ins are failing, so new addresses have to wait. Try again in {when}, or sign in \
             from where you have signed in before."
        ),
        ThrottledBy::Counted(CountedBy::Registration) => {
            format!("Too many accounts were created from your address. Try again in {when}.")
        }
        ThrottledBy::Unverified => {
            format!(
                "Too many requests without a valid credential came from your address. Try again in {when}."
            )
        }
        ThrottledBy::Tokens => {
            format!("You have created too many tokens in a short time. Try again in {when}.")
        }
    };
    Refusal::new(Code::TooManyAttempts, detail).retry_after(Duration::from_secs(seconds))
}

/// Refuses a username that is not allowed.
#[must_use]
pub(crate) fn invalid_username(error: &NameError) -> Refusal {
    Refusal::validation(vec![username_error(error)])
}

/// Returns the field error for a username that is not allowed.
#[must_use]
pub(crate) fn username_error(error: &NameError) -> FieldError {
    FieldError::new("/username", error.code(), error.to_string())
}

/// Refuses a disabled user.
#[must_use]
pub(crate) fn account_disabled() -> Refusal {
    Refusal::new(Code::AccountDisabled, "The account is disabled. Ask an administrator to enable it.")
}

/// Refuses a user whose account was deleted.
#[must_use]
pub(crate) fn account_deleted() -> Refusal {
    Refusal::new(Code::AccountDeleted, "The account was deleted. An administrator can tell you more.")
}

/// Refuses a name that another account has as a username or an address.
#[must_use]
pub(crate) fn name_taken(taken: NameTaken) -> Refusal {
    let member = match taken {
        NameTaken::Username => "username",
        NameTaken::Email => "email",
    };
    let detail =
        format!("The {member} is already in use, as a username or as an e-mail address. Choose another.");
    Refusal::new(Code::Conflict, detail).with("pointer", format!("/{member}"))
}

/// Refuses a new password that violates the policy.
#[must_use]
pub(crate) fn invalid_password(errors: &[PasswordError], pointer: &str) -> Refusal {
    Refusal::validation(password_errors(errors, pointer))
}

/// Returns the field errors for a new password that violates the policy.
#[must_use]
pub(crate) fn password_errors(errors: &[PasswordError], pointer: &str) -> Vec<FieldError> {
    errors.iter().map(|error| FieldError::new(pointer, error.code(), error.to_string())).collect()
}

/// Refuses a wrong password within a session. It is not a 401, which would make clients refresh or sign out.
#[must_use]
pub(crate) fn wrong_password(pointer: &str) -> Refusal {
    let detail = "this is not the account's password".to_owned();
    Refusal::validation(vec![FieldError::new(pointer, "wrong_password", detail)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_is_shown_in_whole_seconds_or_in_minutes() {
        for (milliseconds, reported, retry_after) in [
            (0, "in 1 s", 1),
            (1_001, "in 2 s", 2),
            (119_000, "in 119 s", 119),
            (120_000, "in 2 min", 120),
            (120_001, "in 3 min", 121),
        ] {
            let refused = too_many_attempts(ThrottledBy::Unverified, Duration::from_millis(milliseconds));
            assert!(refused.detail().contains(reported), "{}", refused.detail());
            assert_eq!(refused.members()["retry_after"], retry_after, "{milliseconds} ms");
        }
    }
}
