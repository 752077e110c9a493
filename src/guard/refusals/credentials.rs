//! Refuses tokens, cookies and their sessions.

use chrono::{DateTime, Utc};

use super::{account_deleted, time};
use crate::refusal::{Action, Code, Problem};
use crate::sessions::EndReason;
use crate::sessions::refresh_token::RefreshTokenFlaw;
use crate::sessions::renewal::SESSION_RENEWED;
use crate::tokens::access_token::AccessTokenFlaw;
use crate::tokens::ended::Ended;
use crate::tokens::owner::AccountChange;
use crate::tokens::personal_token::{PersonalTokenFlaw, RevokeReason};

/// Refuses an access token with this error.
#[must_use]
pub fn access_token_flaw(flaw: AccessTokenFlaw) -> Problem {
    match flaw {
        AccessTokenFlaw::Malformed => Problem::new(
            Code::TokenMalformed,
            "The token is neither a JWT nor in a form that this server issues. Check that you copied all of \
             it.",
        ),
        AccessTokenFlaw::KeyUnknown
        | AccessTokenFlaw::SignatureInvalid
        | AccessTokenFlaw::KeyRevoked { .. }
        | AccessTokenFlaw::KeyRetired { .. } => Problem::new(
            Code::TokenSignatureInvalid,
            "No key of this server made the token's signature: it was altered, forged, or issued elsewhere. \
             Refresh it, or sign in again.",
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
                "The access token is not valid until {}. Wait until then, and check the clocks.",
                time(valid_from)
            ),
        )
        .with("valid_from", time(valid_from)),
        AccessTokenFlaw::IssuerMismatch { expected, found, .. } => Problem::new(
            Code::TokenIssuerMismatch,
            format!("The token was issued for `{found}`, but this server is `{expected}`. Refresh it here."),
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
            "The token is genuine, but it is not an access token. Send the access token of the sign-in.",
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
            "The token starts like a refresh token (dwr_), but it is malformed. Check that you copied all of \
             it.",
        ),
        RefreshTokenFlaw::Forged => Problem::new(
            Code::TokenSignatureInvalid,
            "This server did not issue the refresh token, or it was altered. Sign in again.",
        )
        .action(Action::Login),
    }
}

/// Refuses a refresh token that was already rotated and is not forgiven.
#[must_use]
pub fn refresh_token_reused() -> Problem {
    let detail = "This refresh token was already used, and the token that replaced it was used too. Two \
                  parties have a copy, so the session has just been ended. Sign in again.";
    Problem::new(Code::RefreshTokenReused, detail)
}

/// Refuses a genuine refresh token that no longer exists.
#[must_use]
pub fn refresh_token_unknown() -> Problem {
    let detail = "The refresh token is genuine, but its session no longer exists. Sign in again.";
    Problem::new(Code::RefreshTokenUnknown, detail)
}

/// Refuses a malformed personal token.
#[must_use]
pub fn personal_token_flaw(_: PersonalTokenFlaw) -> Problem {
    let detail = "The token starts like a personal access token (dwp_), but its checksum is wrong. Check \
                  that you copied all of it.";
    Problem::new(Code::TokenMalformed, detail)
}

/// Refuses a well-formed personal token that does not exist.
#[must_use]
pub fn personal_token_unknown() -> Problem {
    let detail = "This personal access token does not exist. It was deleted long ago, or created elsewhere. \
                  Create a new one.";
    Problem::new(Code::TokenUnknown, detail)
}

/// Refuses a session cookie that belongs to no session.
#[must_use]
pub fn cookie_unknown() -> Problem {
    let detail = "The session cookie does not belong to an existing session. Sign in again.";
    Problem::new(Code::TokenUnknown, detail)
}

/// Refuses a session cookie that was replaced, after the grace period.
#[must_use]
pub fn cookie_replaced(replaced_at: DateTime<Utc>) -> Problem {
    let detail = format!(
        "This session cookie was replaced at {}, when the password was confirmed or changed, and the new \
         cookie has been used since. Send the new cookie, or sign in again.",
        time(replaced_at)
    );
    Problem::new(Code::TokenUnknown, detail).with("reason", SESSION_RENEWED)
}

/// Refuses an access token from before a step-up, after the grace period.
#[must_use]
pub fn access_token_replaced(revoked_at: DateTime<Utc>) -> Problem {
    let detail = format!(
        "A step-up replaced the access token, and tokens issued before it have been refused since {}. Send \
         the new access token, or refresh with the new refresh token.",
        time(revoked_at)
    );
    Problem::new(Code::TokenRevoked, detail)
        .with("revoked_at", time(revoked_at))
        .with("reason", SESSION_RENEWED)
}

/// Refuses a Basic credential whose username is not the token owner's.
#[must_use]
pub fn basic_name_mismatch() -> Problem {
    let detail = "The username sent with Basic is not that of the token's owner. Send the owner's username, \
                  or send only the token as `Authorization: Bearer …`.";
    Problem::new(Code::TokenUnknown, detail)
}

/// Refuses an expired personal token.
#[must_use]
pub fn personal_token_expired(expired_at: DateTime<Utc>) -> Problem {
    let detail =
        format!("The personal access token expired at {}. Sign in and create a new one.", time(expired_at));
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
        "The personal access token was revoked at {} ({}). Sign in and create a new one.",
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
        "The access token was revoked{since} ({}). Its session is still active. Refresh the token and send \
         the request again.",
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
        format!("The session ended at {} ({}). Sign in again.", time(*at), in_words(reason.as_str()));
    Problem::new(Code::SessionEnded, detail).with("ended_at", time(*at)).with("reason", reason.as_str())
}

/// Refuses a genuine token whose session does not exist, because it was pruned or lost with a restore.
#[must_use]
pub fn session_unknown() -> Problem {
    let detail = "The token is genuine, but its session no longer exists. Sign in again.";
    Problem::new(Code::SessionEnded, detail).with("ended_at", None::<String>).with("reason", "unknown")
}

/// Refuses a token whose session has expired.
#[must_use]
pub fn session_expired(expired_at: DateTime<Utc>) -> Problem {
    let detail = format!("The session expired at {}. Sign in again.", time(expired_at));
    Problem::new(Code::SessionExpired, detail).with("expired_at", time(expired_at))
}

/// Formats a stored reason for people.
pub(in crate::guard) fn in_words(reason: &str) -> String {
    reason.replace('_', " ")
}
