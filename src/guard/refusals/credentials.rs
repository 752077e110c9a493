//! Refuses tokens, cookies and their sessions.

use chrono::{DateTime, Utc};

use super::{account_deleted, time};
use crate::refusal::{Action, Code, Refusal};
use crate::sessions::EndReason;
use crate::sessions::refresh_token::RefreshTokenError;
use crate::sessions::renewal::SESSION_RENEWED;
use crate::tokens::access_token::AccessTokenError;
use crate::tokens::ended::Ended;
use crate::tokens::owner::AccountChange;
use crate::tokens::personal_token::{PersonalTokenError, RevokeReason};

/// Refuses an access token with this error.
#[must_use]
pub(crate) fn access_token_error(error: AccessTokenError) -> Refusal {
    match error {
        AccessTokenError::Malformed => Refusal::new(
            Code::TokenMalformed,
            "The token is neither a JWT nor in a form that this server issues. Check that you copied all of \
             it.",
        ),
        AccessTokenError::KeyUnknown
        | AccessTokenError::SignatureInvalid
        | AccessTokenError::KeyRevoked { .. }
        | AccessTokenError::KeyRetired { .. } => Refusal::new(
            Code::TokenSignatureInvalid,
            "No key of this server made the token's signature: it was altered, forged, or issued elsewhere. \
             Refresh it, or sign in again.",
        ),
        AccessTokenError::Expired { expired_at, .. } => Refusal::new(
            Code::TokenExpired,
            format!(
                "The access token expired at {}. Refresh it and send the request again.",
                time(expired_at)
            ),
        )
        .with("expired_at", time(expired_at)),
        AccessTokenError::NotYetValid { valid_from, .. } => Refusal::new(
            Code::TokenNotYetValid,
            format!(
                "The access token is not valid until {}. Wait until then, and check the clocks.",
                time(valid_from)
            ),
        )
        .with("valid_from", time(valid_from)),
        AccessTokenError::IssuerMismatch { expected, found, .. } => Refusal::new(
            Code::TokenIssuerMismatch,
            format!("The token was issued for `{found}`, but this server is `{expected}`. Refresh it here."),
        )
        .with("expected", expected)
        .with("found", found),
        AccessTokenError::AudienceMismatch { expected, found, .. } => Refusal::new(
            Code::TokenAudienceMismatch,
            format!("The token is for `{}`, not for `{expected}`. Refresh it here.", found.join(" ")),
        )
        .with("expected", expected)
        .with("found", found),
        AccessTokenError::TypeMismatch { found, .. } => type_mismatch(
            "access_token",
            &found,
            "The token is genuine, but it is not an access token. Send the access token of the sign-in.",
        ),
    }
}

/// Refuses a genuine token of the wrong type.
#[must_use]
pub(crate) fn type_mismatch(expected: &str, found: &str, detail: &str) -> Refusal {
    Refusal::new(Code::TokenTypeMismatch, detail).with("expected", expected).with("found", found)
}

/// Refuses a refresh token that is not genuine.
#[must_use]
pub(crate) fn refresh_token_error(error: RefreshTokenError) -> Refusal {
    match error {
        RefreshTokenError::Malformed => Refusal::new(
            Code::TokenMalformed,
            "The token starts like a refresh token (dwr_), but it is malformed. Check that you copied all of \
             it.",
        ),
        RefreshTokenError::Forged => Refusal::new(
            Code::TokenSignatureInvalid,
            "This server did not issue the refresh token, or it was altered. Sign in again.",
        )
        .action(Action::Login),
    }
}

/// Refuses a refresh token that was already rotated and is not forgiven.
#[must_use]
pub(crate) fn refresh_token_reused() -> Refusal {
    let detail = "This refresh token was already used, and the token that replaced it was used too. Two \
                  parties have a copy, so the session has just been ended. Sign in again.";
    Refusal::new(Code::RefreshTokenReused, detail)
}

/// Refuses a genuine refresh token that no longer exists.
#[must_use]
pub(crate) fn refresh_token_unknown() -> Refusal {
    let detail = "The refresh token is genuine, but its session no longer exists. Sign in again.";
    Refusal::new(Code::RefreshTokenUnknown, detail)
}

/// Refuses a malformed personal token.
#[must_use]
pub(crate) fn personal_token_error(_: PersonalTokenError) -> Refusal {
    let detail = "The token starts like a personal access token (dwp_), but its checksum is wrong. Check \
                  that you copied all of it.";
    Refusal::new(Code::TokenMalformed, detail)
}

/// Refuses a well-formed personal token that does not exist.
#[must_use]
pub(crate) fn personal_token_unknown() -> Refusal {
    let detail = "This personal access token does not exist. It was deleted long ago, or created elsewhere. \
                  Create a new one.";
    Refusal::new(Code::TokenUnknown, detail)
}

/// Refuses a session cookie that belongs to no session.
#[must_use]
pub(crate) fn cookie_unknown() -> Refusal {
    let detail = "The session cookie does not belong to an existing session. Sign in again.";
    Refusal::new(Code::TokenUnknown, detail)
}

/// Refuses a session cookie that was replaced, after the grace period.
#[must_use]
pub(crate) fn cookie_replaced(replaced_at: DateTime<Utc>) -> Refusal {
    let detail = format!(
        "This session cookie was replaced at {}, when the password was confirmed or changed, and the new \
         cookie has been used since. Send the new cookie, or sign in again.",
        time(replaced_at)
    );
    Refusal::new(Code::TokenUnknown, detail).with("reason", SESSION_RENEWED)
}

/// Refuses an access token from before a step-up, after the grace period.
#[must_use]
pub(crate) fn access_token_replaced(revoked_at: DateTime<Utc>) -> Refusal {
    let detail = format!(
        "A step-up replaced the access token, and tokens issued before it have been refused since {}. Send \
         the new access token, or refresh with the new refresh token.",
        time(revoked_at)
    );
    Refusal::new(Code::TokenRevoked, detail)
        .with("revoked_at", time(revoked_at))
        .with("reason", SESSION_RENEWED)
}

/// Refuses a Basic credential whose username is not the token owner's.
#[must_use]
pub(crate) fn basic_name_mismatch() -> Refusal {
    let detail = "The username sent with Basic is not that of the token's owner. Send the owner's username, \
                  or send only the token as `Authorization: Bearer …`.";
    Refusal::new(Code::TokenUnknown, detail)
}

/// Refuses an expired personal token.
#[must_use]
pub(crate) fn personal_token_expired(expired_at: DateTime<Utc>) -> Refusal {
    let detail =
        format!("The personal access token expired at {}. Sign in and create a new one.", time(expired_at));
    Refusal::new(Code::TokenExpired, detail)
        .with("expired_at", time(expired_at))
        .action(Action::Login)
        .terminal(true)
}

/// Refuses a revoked personal token.
#[must_use]
pub(crate) fn personal_token_revoked(revoked: &Ended<RevokeReason>) -> Refusal {
    let Ended { at, reason } = revoked;
    let detail = format!(
        "The personal access token was revoked at {} ({}). Sign in and create a new one.",
        time(*at),
        in_words(reason.as_str())
    );
    Refusal::new(Code::TokenRevoked, detail)
        .with("revoked_at", time(*at))
        .with("reason", reason.as_str())
        .action(Action::Login)
        .terminal(true)
}

/// Refuses an access token that was issued before the user's role or status changed.
#[must_use]
pub(crate) fn version_raised(found: Option<Ended<AccountChange>>) -> Refusal {
    let (when, reason) = found.map_or((None, "account_changed".to_owned()), |Ended { at, reason }| {
        (Some(time(at)), reason.to_string())
    });
    let since = when.as_deref().map_or(String::new(), |at| format!(" at {at}"));
    let detail = format!(
        "The access token was revoked{since} ({}). Its session is still active. Refresh the token and send \
         the request again.",
        in_words(&reason)
    );
    Refusal::new(Code::TokenRevoked, detail).with("revoked_at", when).with("reason", reason)
}

/// Refuses a token whose session was ended.
#[must_use]
pub(crate) fn session_ended(ended: &Ended<EndReason>) -> Refusal {
    let Ended { at, reason } = ended;
    if *reason == EndReason::AccountDeleted {
        return account_deleted();
    }
    let detail =
        format!("The session ended at {} ({}). Sign in again.", time(*at), in_words(reason.as_str()));
    Refusal::new(Code::SessionEnded, detail).with("ended_at", time(*at)).with("reason", reason.as_str())
}

/// Refuses a genuine token whose session does not exist, because it was pruned or lost with a restore.
#[must_use]
pub(crate) fn session_unknown() -> Refusal {
    let detail = "The token is genuine, but its session no longer exists. Sign in again.";
    Refusal::new(Code::SessionEnded, detail).with("ended_at", None::<String>).with("reason", "unknown")
}

/// Refuses a token whose session has expired.
#[must_use]
pub(crate) fn session_expired(expired_at: DateTime<Utc>) -> Refusal {
    let detail = format!("The session expired at {}. Sign in again.", time(expired_at));
    Refusal::new(Code::SessionExpired, detail).with("expired_at", time(expired_at))
}

/// Returns a reason code as words, for a message: `account_changed` becomes `account changed`.
pub(in crate::guard) fn in_words(reason: &str) -> String {
    reason.replace('_', " ")
}
