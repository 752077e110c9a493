//! Checks in a change's transaction that its caller's session, account and secret are what the guard saw.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Binary, Bool, Integer, Interval, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::session::interval;

/// The secret that a request presented for its session.
#[derive(Clone, Copy, Debug)]
pub enum SentSecret<'a> {
    /// A cookie whose key has this digest.
    Cookie(&'a [u8; 32]),
    /// An access token.
    AccessToken {
        /// The key that signed it.
        kid: &'a str,
        /// The generation of the refresh token that it was issued with.
        generation: i32,
        /// See [`Limits`](super::Limits).
        grace: Duration,
    },
}

#[derive(QueryableByName)]
struct Unchanged {
    #[diesel(sql_type = Bool)]
    is_unchanged: bool,
}

/// A lock that waits gives the latest row, so what the transaction before wrote is seen.
macro_rules! unchanged {
    ($lock:literal) => {
        concat!(
            "SELECT coalesce(u.status = 'active' AND u.version = $3 AND s.ended_at IS NULL
                AND ($4 IS NULL OR s.cookie_digest = $4)
                AND NOT EXISTS (SELECT FROM signing_keys AS k WHERE k.kid = $5 AND k.revoked_at IS NOT NULL)
                AND NOT EXISTS (SELECT FROM former_secrets AS f WHERE f.session_id = s.id AND f.successor > $6
                    AND f.superseded_at + $7 <= now()), false) AS is_unchanged
             FROM users AS u JOIN sessions AS s ON s.user_id = u.id WHERE u.id = $1 AND s.id = $2",
            $lock
        )
    };
}

/// Returns whether a session and its user of this version, and the secret sent, are good as before. If `locks`, the
/// rows stay so until the transaction ends; otherwise the caller has locked the user's row.
///
/// # Errors
/// PostgreSQL's.
pub fn is_unchanged(
    connection: &mut PgConnection,
    (user_id, version): (Uuid, i64),
    session_id: Uuid,
    sent: SentSecret<'_>,
    locks: bool,
) -> QueryResult<bool> {
    let (cookie, kid, generation, grace) = match sent {
        SentSecret::Cookie(digest) => (Some(digest.as_slice()), None, None, None),
        SentSecret::AccessToken { kid, generation, grace } => {
            (None, Some(kid), Some(generation), Some(interval(grace)))
        }
    };
    let found: Option<Unchanged> =
        diesel::sql_query(if locks { unchanged!(" FOR SHARE OF u, s") } else { unchanged!("") })
            .bind::<SqlUuid, _>(user_id)
            .bind::<SqlUuid, _>(session_id)
            .bind::<diesel::sql_types::BigInt, _>(version)
            .bind::<Nullable<Binary>, _>(cookie)
            .bind::<Nullable<Text>, _>(kid)
            .bind::<Nullable<Integer>, _>(generation)
            .bind::<Nullable<Interval>, _>(grace)
            .get_result(connection)
            .optional()?;
    Ok(found.is_some_and(|found| found.is_unchanged))
}
