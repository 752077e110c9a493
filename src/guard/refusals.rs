//! Creates the refusals of credentials and related errors, with their codes and texts.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::caller::Credential;
use crate::database::DatabaseError;
use crate::http::fields::FieldFault;
use crate::limits::counters::CountedBy;
use crate::limits::held_by::{HeldBy, whole_seconds};
use crate::refusal::{self, Action, Code, FieldError, Problem};
use crate::sessions::EndReason;
use crate::sessions::refresh_token::RefreshTokenFlaw;
use crate::sessions::renewal::SESSION_RENEWED;
use crate::tokens::access_token::AccessTokenFlaw;
use crate::tokens::ended::Ended;
use crate::tokens::names::Names;
use crate::tokens::owner::AccountChange;
use crate::tokens::personal_token::PersonalTokenFlaw;
use crate::tokens::personal_token::RevokeReason;
use crate::users::name::NameFlaw;
use crate::users::password::PasswordFlaw;
use crate::users::passwords::HashError;
use crate::users::role::ACCOUNT_WRITE;
use crate::users::user::NameTaken;

impl FieldFault for NameFlaw {
    fn code(&self) -> &'static str {
        self.code()
    }
}

/// The time after which a client should retry a server error.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Formats a time for details and members (RFC 3339, UTC, whole seconds).
#[must_use]
pub fn time(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A database error is a server error, never the client's.
impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Overloaded => Problem::new(
                Code::Overloaded,
                "More requests arrive than can be answered; try again shortly.",
            )
            .retry_after(RETRY_AFTER),
            DatabaseError::Unavailable(why) => {
                tracing::warn!(%why, "the database is unavailable");
                let detail = "The database cannot be reached just now. Nothing is wrong with your credentials; try again \
                              shortly.";
                Problem::new(Code::DatabaseUnavailable, detail).retry_after(RETRY_AFTER)
            }
            DatabaseError::TooExpensive => {
                let detail = "The search took too long and was canceled. Narrow the search: ask for a longer or rarer part, \
                              or for fewer records.";
                Problem::new(Code::Overloaded, detail).retry_after(RETRY_AFTER)
            }
            DatabaseError::Statement(error) => {
                tracing::error!(%error, "a statement failed");
                refusal::internal()
            }
        }
    }
}

/// A password that cannot be hashed or compared is a server error, never the client's.
impl From<HashError> for Problem {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded => {
                let detail = "More sign-ins arrive than can be checked; try again shortly.";
                Problem::new(Code::Overloaded, detail).retry_after(RETRY_AFTER)
            }
            HashError::OddHash => {
                tracing::error!(%error, "a password could not be checked");
                refusal::internal()
            }
        }
    }
}

/// Refuses an access token with this error.
#[must_use]
pub fn access_token_flaw(flaw: AccessTokenFlaw) -> Problem {
    match flaw {
        AccessTokenFlaw::Malformed => Problem::new(
            Code::TokenMalformed,
            "What was sent is neither a JWT nor a token of a form known here. Check that it was copied whole.",
        ),
        AccessTokenFlaw::KeyUnknown
        | AccessTokenFlaw::SignatureInvalid
        | AccessTokenFlaw::KeyRevoked { .. }
        | AccessTokenFlaw::KeyRetired { .. } => Problem::new(
            Code::TokenSignatureInvalid,
            "The token's signature is not by a key of this server: it was altered, forged, or issued elsewhere. \
             Refresh, or sign in again.",
        ),
        AccessTokenFlaw::Expired { expired_at, .. } => Problem::new(
            Code::TokenExpired,
            format!(
                "The access token expired at {}. Refresh it and send the request again.",
                time(expired_at)
            ),
        )
        .with("expired_at", time(expired_at)),
        AccessTokenFlaw::NotYetValid { valid_from, .. } => Problem::new(
            Code::TokenNotYetValid,
            format!(
                "The access token is good only from {}. Wait until then, and check the clocks.",
                time(valid_from)
            ),
        )
        .with("valid_from", time(valid_from)),
        AccessTokenFlaw::IssuerMismatch { expected, found, .. } => Problem::new(
            Code::TokenIssuerMismatch,
            format!("The token was issued for `{found}`; this is `{expected}`. Refresh it here."),
        )
        .with("expected", expected)
        .with("found", found),
        AccessTokenFlaw::AudienceMismatch { expected, found, .. } => Problem::new(
            Code::TokenAudienceMismatch,
            format!("The token is for `{}`, not for `{expected}`. Refresh it here.", found.join(" ")),
        )
        .with("expected", expected)
        .with("found", found),
        AccessTokenFlaw::TypeMismatch { found, .. } => type_mismatch(
            "access_token",
            &found,
            "The token is genuine but is no access token. Send the access token of the sign-in.",
        ),
    }
}

/// Refuses a genuine token of the wrong type.
#[must_use]
pub fn type_mismatch(expected: &str, found: &str, detail: &str) -> Problem {
    Problem::new(Code::TokenTypeMismatch, detail).with("expected", expected).with("found", found)
}

/// Refuses a refresh token that is not genuine.
#[must_use]
pub fn refresh_token_flaw(flaw: RefreshTokenFlaw) -> Problem {
    match flaw {
        RefreshTokenFlaw::Malformed => Problem::new(
            Code::TokenMalformed,
            "This begins like a refresh token (dwr_) but is not one. Check that it was copied whole.",
        ),
        RefreshTokenFlaw::Forged => Problem::new(
            Code::TokenSignatureInvalid,
            "The refresh token was not made by this server, or was altered. Sign in again.",
        )
        .action(Action::Login),
    }
}

/// Refuses a refresh token that was already rotated and is not forgiven.
#[must_use]
pub fn refresh_token_reused() -> Problem {
    let detail = "This refresh token was used before, and somebody has used what it was traded for. One of two has a \
                  copy, so the session has just been ended. Sign in again.";
    Problem::new(Code::RefreshTokenReused, detail)
}

/// Refuses a genuine refresh token that no longer exists.
#[must_use]
pub fn refresh_token_unknown() -> Problem {
    let detail = "The refresh token is genuine, but its session is no longer known here. Sign in again.";
    Problem::new(Code::RefreshTokenUnknown, detail)
}

/// Refuses a wrong username or password, without revealing which of them is wrong.
#[must_use]
pub fn invalid_credentials() -> Problem {
    let detail = "The username or the password is wrong. Check both and try again.";
    Problem::new(Code::InvalidCredentials, detail)
}

/// Refuses a throttled request, with the time until the next one is allowed. For a name without an account
/// the text is the same.
#[must_use]
pub fn too_many_attempts(by: HeldBy, wait: Duration) -> Problem {
    let seconds = whole_seconds(wait).max(1);
    let when = if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) };
    let detail = match by {
        HeldBy::Counted(CountedBy::Name | CountedBy::KnownAddress) => {
            format!("Too many wrong passwords were given for this name. The next try is taken in {when}.")
        }
        HeldBy::Counted(CountedBy::Address | CountedBy::Spray) => {
            format!("Too many sign-ins have failed from your address. The next try is taken in {when}.")
        }
        HeldBy::Counted(CountedBy::Network) => {
            format!("Too many sign-ins have failed from your network. The next try is taken in {when}.")
        }
        HeldBy::Counted(CountedBy::All) => format!(
            "More sign-ins fail here than are taken from new addresses. Try again in {when}, or from where you have \
             signed in before."
        ),
        HeldBy::Counted(CountedBy::Registration) => {
            format!("Too many accounts were made from your address. The next can be made in {when}.")
        }
        HeldBy::Unproven => {
            format!("Too many requests that prove nothing came from your address. Try again in {when}.")
        }
        HeldBy::Tokens => {
            format!("You have made many tokens in a short time. The next can be made in {when}.")
        }
    };
    Problem::new(Code::TooManyAttempts, detail).retry_after(Duration::from_secs(seconds))
}

/// Refuses a malformed personal token.
#[must_use]
pub fn personal_token_flaw(_: PersonalTokenFlaw) -> Problem {
    let detail = "This begins like a personal access token (dwp_) but its checksum fails. Check that it was copied \
                  whole.";
    Problem::new(Code::TokenMalformed, detail)
}

/// Refuses a well-formed personal token that does not exist.
#[must_use]
pub fn personal_token_unknown() -> Problem {
    let detail = "No such personal access token stands here. It was deleted long ago, or made elsewhere; make a new \
                  one.";
    Problem::new(Code::TokenUnknown, detail)
}

/// Refuses a session cookie that belongs to no session.
#[must_use]
pub fn cookie_unknown() -> Problem {
    let detail = "The session cookie is of no session known here. Sign in again.";
    Problem::new(Code::TokenUnknown, detail)
}

/// Refuses a session cookie that was replaced, after the grace period.
#[must_use]
pub fn cookie_replaced(replaced_at: DateTime<Utc>) -> Problem {
    let detail = format!(
        "This session cookie was replaced at {}, when the password was given again or changed, and the new one has been \
         used since. Send the new cookie, or sign in again.",
        time(replaced_at)
    );
    Problem::new(Code::TokenUnknown, detail).with("reason", SESSION_RENEWED)
}

/// Refuses an access token from before a step-up, after the grace period.
#[must_use]
pub fn access_token_replaced(revoked_at: DateTime<Utc>) -> Problem {
    let detail = format!(
        "The access token was replaced by a step-up, and what was issued before it is refused since {}. Send the access \
         token of the step-up, or refresh with its refresh token.",
        time(revoked_at)
    );
    Problem::new(Code::TokenRevoked, detail)
        .with("revoked_at", time(revoked_at))
        .with("reason", SESSION_RENEWED)
}

/// Refuses a Basic credential whose username is not the token owner's.
#[must_use]
pub fn basic_name_mismatch() -> Problem {
    let detail = "The user name sent with Basic is not that of the token's owner. Send the owner's username, or the \
                  token alone as `Authorization: Bearer …`.";
    Problem::new(Code::TokenUnknown, detail)
}

/// Refuses a username that is not allowed.
#[must_use]
pub fn username_flaw(flaw: &NameFlaw) -> Problem {
    Problem::validation(vec![username_error(flaw)])
}

/// Returns the field error for a username that is not allowed.
#[must_use]
pub fn username_error(flaw: &NameFlaw) -> FieldError {
    FieldError::new("/username", flaw.code(), flaw.to_string())
}

/// Refuses an expired personal token.
#[must_use]
pub fn personal_token_expired(expired_at: DateTime<Utc>) -> Problem {
    let detail =
        format!("The personal access token expired at {}. Sign in and make a new one.", time(expired_at));
    Problem::new(Code::TokenExpired, detail)
        .with("expired_at", time(expired_at))
        .action(Action::Login)
        .terminal(true)
}

/// Refuses a revoked personal token.
#[must_use]
pub fn personal_token_revoked(revoked: &Ended<RevokeReason>) -> Problem {
    let Ended { at, reason } = revoked;
    let detail = format!(
        "The personal access token was revoked at {} ({}). Sign in and make a new one.",
        time(*at),
        in_words(reason.as_str())
    );
    Problem::new(Code::TokenRevoked, detail)
        .with("revoked_at", time(*at))
        .with("reason", reason.as_str())
        .action(Action::Login)
        .terminal(true)
}

/// Refuses an access token that was issued before the user's role or status changed.
#[must_use]
pub fn version_raised(found: Option<Ended<AccountChange>>) -> Problem {
    let (when, reason) = found.map_or((None, "account_changed".to_owned()), |Ended { at, reason }| {
        (Some(time(at)), reason.to_string())
    });
    let since = when.as_deref().map_or(String::new(), |at| format!(" at {at}"));
    let detail = format!(
        "The access token was revoked{since} ({}); the session goes on. Refresh it and send the request again.",
        in_words(&reason)
    );
    Problem::new(Code::TokenRevoked, detail).with("revoked_at", when).with("reason", reason)
}

/// Refuses a token whose session was ended.
#[must_use]
pub fn session_ended(ended: &Ended<EndReason>) -> Problem {
    let Ended { at, reason } = ended;
    if *reason == EndReason::AccountDeleted {
        return account_deleted();
    }
    let detail =
        format!("The session was ended at {} ({}). Sign in again.", time(*at), in_words(reason.as_str()));
    Problem::new(Code::SessionEnded, detail).with("ended_at", time(*at)).with("reason", reason.as_str())
}

/// Refuses a genuine token whose session does not exist, because it was pruned or lost with a restore.
#[must_use]
pub fn session_unknown() -> Problem {
    let detail = "The token is genuine, but its session is no longer known here. Sign in again.";
    Problem::new(Code::SessionEnded, detail).with("ended_at", None::<String>).with("reason", "unknown")
}

/// Refuses a token whose session has expired.
#[must_use]
pub fn session_expired(expired_at: DateTime<Utc>) -> Problem {
    let detail = format!("The session expired at {}. Sign in again.", time(expired_at));
    Problem::new(Code::SessionExpired, detail).with("expired_at", time(expired_at))
}

/// Refuses a disabled user.
#[must_use]
pub fn account_disabled() -> Problem {
    Problem::new(Code::AccountDisabled, "The account is disabled. Ask an administrator to enable it.")
}

/// Refuses a user whose account was deleted.
#[must_use]
pub fn account_deleted() -> Problem {
    Problem::new(Code::AccountDeleted, "The account was deleted. An administrator can tell you more.")
}

/// Refuses a user whose role lacks the permission.
#[must_use]
pub fn permission_denied(required: &[String], role: &str) -> Problem {
    let detail =
        format!("This needs the permission {}, which the role `{role}` does not have.", listed(required));
    Problem::new(Code::PermissionDenied, detail).with("required", required).with("role", role)
}

/// Refuses a credential whose scope lacks the permission, although the user has it.
#[must_use]
pub fn insufficient_scope(required: &[String], granted: &[String], credential: &Credential) -> Problem {
    let session_may = |scope: &Option<Names>| {
        scope.as_ref().is_none_or(|scope| required.iter().all(|name| scope.contains(name)))
    };
    let (action, advice) = match credential {
        // The next refresh gives the session the scope that its sign-in requested, or all of the user's
        // permissions.
        Credential::AccessToken { session_scope, .. } if session_may(session_scope) => {
            (Action::Refresh, "Refresh with a wider scope; the session has it.")
        }
        Credential::AccessToken { .. } => (Action::Login, "Sign in again with a wider scope."),
        Credential::PersonalToken { .. } if required.iter().any(|name| name == ACCOUNT_WRITE) => (
            Action::Login,
            "No personal token can carry `account:write`. Sign in, and change your own account under /api/v1/me or \
             /account.",
        ),
        Credential::PersonalToken { .. } | Credential::SessionCookie { .. } => {
            (Action::Login, "Sign in, or make a token with this scope.")
        }
    };
    scope_refused(required, granted, advice).action(action)
}

/// Refuses a scope that exceeds what was granted.
#[must_use]
pub fn scope_refused(required: &[String], granted: &[String], advice: &str) -> Problem {
    let detail = format!(
        "This needs the scope {}; what was sent carries {}. {advice}",
        listed(required),
        listed(granted)
    );
    Problem::new(Code::InsufficientScope, detail)
        .with("required", required)
        .with("granted", granted)
        .challenge_scope(&required.join(" "))
}

/// Refuses a request that needs a more recent sign-in (RFC 9470).
#[must_use]
pub fn authentication_too_old(auth_time: DateTime<Utc>, max_age: Duration, now: DateTime<Utc>) -> Problem {
    let ahead = if auth_time > now { ", ahead of the server's clock" } else { "" };
    let detail = format!(
        "This needs a sign-in within the last {} s; the last one was at {}{ahead}. Give the password again at POST \
         /api/v1/auth/step-up.",
        max_age.as_secs(),
        time(auth_time)
    );
    Problem::new(Code::AuthenticationTooOld, detail)
        .with("auth_time", time(auth_time))
        .with("max_age", max_age.as_secs())
        .challenge_max_age(max_age)
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { format!("`{}`", names.join(" ")) }
}

/// Formats a stored reason for people.
pub(super) fn in_words(reason: &str) -> String {
    reason.replace('_', " ")
}

/// Refuses a name that another account has as a username or an address.
#[must_use]
pub fn name_taken(taken: NameTaken) -> Problem {
    let member = match taken {
        NameTaken::Username => "username",
        NameTaken::Email => "email",
    };
    let detail = format!("The {member} is taken already, as a username or an address; choose another.");
    Problem::new(Code::Conflict, detail).with("pointer", format!("/{member}"))
}

/// Refuses a new password that violates the policy.
#[must_use]
pub fn password_flaws(flaws: &[PasswordFlaw], pointer: &str) -> Problem {
    Problem::validation(password_errors(flaws, pointer))
}

/// Returns the field errors for a new password that violates the policy.
#[must_use]
pub fn password_errors(flaws: &[PasswordFlaw], pointer: &str) -> Vec<FieldError> {
    flaws.iter().map(|flaw| FieldError::new(pointer, flaw.code(), flaw.to_string())).collect()
}

/// Refuses a wrong password within a session. It is not a 401, which would make clients refresh or sign out.
#[must_use]
pub fn wrong_password(pointer: &str) -> Problem {
    let detail = "this is not the account's password".to_owned();
    Problem::validation(vec![FieldError::new(pointer, "wrong_password", detail)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_a_long_one_in_minutes() {
        for (milliseconds, told, retry_after) in [
            (0, "in 1 s", 1),
            (1_001, "in 2 s", 2),
            (119_000, "in 119 s", 119),
            (120_000, "in 2 min", 120),
            (120_001, "in 3 min", 121),
        ] {
            let refused = too_many_attempts(HeldBy::Unproven, Duration::from_millis(milliseconds));
            assert!(refused.detail().contains(told), "{}", refused.detail());
            assert_eq!(refused.members()["retry_after"], retry_after, "{milliseconds} ms");
        }
    }
}
