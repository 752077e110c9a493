//! Describes what a check requires and what it found, for explanations.

use chrono::{DateTime, Utc};

use crate::guard::check::{Check, CredentialKind};
use crate::guard::refusals;
use crate::guard::trace::Trace;
use crate::sessions::Standing;
use crate::state::State;
use crate::tokens::access_token::Claims;
use crate::tokens::holder::Holder;

/// Records the kind of the credential, which this server accepts.
pub(super) fn note_kind(trace: &mut Trace, kind: CredentialKind) {
    trace.kind = Some(kind);
    let expected = || "an access token, a personal access token or a session cookie".to_owned();
    trace.find(Check::Kind, expected, || kind.as_str().replace('_', " "));
    trace.pass(Check::Kind);
}

pub(super) fn find_in_claims(state: &State, claims: &Claims, now: DateTime<Utc>, trace: &mut Trace) {
    trace.find(
        Check::Form,
        || "a JWT that follows RFC 9068".into(),
        || "a JWT with every required claim".into(),
    );
    trace.find(Check::Key, || "a key of this server".into(), || "a key that may sign".into());
    trace.find(Check::Signature, || "a signature made with that key".into(), || "verified".into());
    trace.find(
        Check::Times,
        || {
            format!(
                "from {} (5 s of leeway) until before {}",
                refusals::time(claims.nbf),
                refusals::time(claims.exp)
            )
        },
        || {
            let (age, left) = ((now - claims.iat).num_seconds(), (claims.exp - now).num_seconds());
            let skew = if age < 0 {
                format!("issued {} s ahead of this clock", -age)
            } else {
                format!("issued {age} s ago")
            };
            let end =
                if claims.exp > now { format!("{left} s left") } else { format!("expired {} s ago", -left) };
            format!("this server's time is {}: {skew}, {end}", refusals::time(now))
        },
    );
    trace.find(
        Check::Issuer,
        || format!("issuer and audience {}", state.tokens.issuer.url),
        || "what the token says".into(),
    );
    trace.find(Check::Type, || "at+jwt".into(), || "what the token says".into());
}

pub(super) fn find_in_session(standing: &Standing, trace: &mut Trace) {
    trace.find(
        Check::Session,
        || "an active session".into(),
        || match &standing.ended {
            None => {
                format!("it is active, and ends at {} at the latest", refusals::time(standing.expires_at))
            }
            Some((at, reason)) => {
                format!("it ended at {} ({})", refusals::time(*at), reason.replace('_', " "))
            }
        },
    );
}

pub(super) fn find_in_user(user: &Holder, trace: &mut Trace) {
    trace.find(
        Check::User,
        || "an active account".into(),
        || format!("{}, {}, with the role {}", user.username, user.status, user.role),
    );
}
