//! Describes what each check requires and what it found, for explanations.

use chrono::{DateTime, Utc};

use crate::guard::caller::Caller;
use crate::guard::check::{Check, CredentialKind};
use crate::guard::credential::SentCredential;
use crate::guard::refusals::{in_words, time};
use crate::guard::trace::{Evidence, Trace};
use crate::sessions::SessionState;
use crate::tokens::access_token::Claims;
use crate::tokens::ended::Ended;
use crate::tokens::owner::Owner;
use crate::tokens::personal_token::RevokeReason;

/// Records the kind of the credential, which this server accepts.
pub(super) fn record_kind(trace: &mut Trace, kind: CredentialKind) {
    trace.kind = Some(kind);
    trace.add_finding(Check::Kind, || {
        Evidence::new("an access token, a personal access token or a session cookie", in_words(kind.as_str()))
    });
    trace.pass(Check::Kind);
}

pub(super) fn header(sent: &SentCredential) -> Evidence {
    Evidence::new("one Authorization header, or the session cookie", sent.in_words())
}

/// Describes the form of a token of `text`.
pub(super) fn form(expected: &str, text: &str) -> Evidence {
    Evidence::new(expected, format!("{} characters", text.len()))
}

/// Describes a check that has passed.
pub(super) fn verified(expected: impl Into<String>) -> Evidence {
    Evidence::new(expected, "verified")
}

fn claimed(expected: impl Into<String>) -> Evidence {
    Evidence::new(expected, "what the token says")
}

pub(super) fn before(expires_at: DateTime<Utc>, now: DateTime<Utc>) -> Evidence {
    Evidence::new(format!("before {}", time(expires_at)), format!("this server's time is {}", time(now)))
}

/// Records what the checks of the claims require, and what they found.
pub(super) fn record_claims(trace: &mut Trace, claims: &Claims, issuer: &str, now: DateTime<Utc>) {
    trace.add_finding(Check::Form, || {
        Evidence::new("a JWT that follows RFC 9068", "a JWT with every required claim")
    });
    trace.add_finding(Check::Key, || Evidence::new("a key of this server", "a key that may sign"));
    trace.add_finding(Check::Signature, || verified("a signature made with that key"));
    trace.add_finding(Check::Times, || times_of(claims, now));
    trace.add_finding(Check::Issuer, || claimed(format!("issuer and audience {issuer}")));
    trace.add_finding(Check::Type, || claimed("at+jwt"));
}

fn times_of(claims: &Claims, now: DateTime<Utc>) -> Evidence {
    let (age, left) = ((now - claims.iat).num_seconds(), (claims.exp - now).num_seconds());
    let skew = if age < 0 {
        format!("issued {} s ahead of this clock", -age)
    } else {
        format!("issued {age} s ago")
    };
    let end = if claims.exp > now { format!("{left} s left") } else { format!("expired {} s ago", -left) };
    Evidence::new(
        format!("from {} (5 s of leeway) until before {}", time(claims.nbf), time(claims.exp)),
        format!("this server's time is {}: {skew}, {end}", time(now)),
    )
}

pub(super) fn version(of_token: i64, of_user: i64) -> Evidence {
    Evidence::new(
        "the user's current version, or a later one",
        format!("the token has version {of_token}, the user has {of_user}"),
    )
}

pub(super) fn revocation(revoked: Option<&Ended<RevokeReason>>) -> Evidence {
    let found = revoked.map_or("not revoked".to_owned(), |Ended { at, reason }| {
        format!("revoked at {} ({})", time(*at), in_words(reason.as_str()))
    });
    Evidence::new("not revoked", found)
}

pub(super) fn session(current: &SessionState) -> Evidence {
    let found = match &current.ended {
        None => format!("it is active, and ends at {} at the latest", time(current.expires_at)),
        Some(Ended { at, reason }) => format!("it ended at {} ({})", time(*at), in_words(reason.as_str())),
    };
    Evidence::new("an active session", found)
}

pub(super) fn user(user: &Owner) -> Evidence {
    let found = format!("{}, {}, with the role {}", user.username, user.status, user.role);
    Evidence::new("an active account", found)
}

pub(super) fn permission(permission: &str, caller: &Caller) -> Evidence {
    let found = format!("the role {} has {}", caller.role, caller.permissions.join(" "));
    Evidence::new(permission, found)
}

pub(super) fn sign_in_age(age: i64, max_age: u64) -> Evidence {
    let found = match age {
        0.. => format!("the last sign-in was {age} s ago"),
        ahead => format!("the last sign-in is dated {} s ahead of the database's clock", -ahead),
    };
    Evidence::new(format!("a sign-in within the last {max_age} s"), found)
}
