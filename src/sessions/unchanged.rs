//! Checks, in the transaction of a change, that the caller's session, account and secret are as the guard saw
//! them.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Binary, Bool, Integer, Interval, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::cookie_digest::CookieDigest;
use super::session::interval;

/// The secret that a request presented for its session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SentSecret<'a> {
    /// The digest of a cookie's key.
    Cookie(&'a CookieDigest),
    AccessToken {
        /// The ID of the key that signed the token.
        kid: &'a str,
        /// The generation of the refresh token that the access token was issued with.
        generation: i32,
        /// See [`SessionLimits`](super::SessionLimits).
        grace: Duration,
    },
}

#[derive(QueryableByName)]
struct Unchanged {
    #[diesel(sql_type = Bool)]
    is_unchanged: bool,
}

/// Builds the query, with `$lock` as its locking clause. A locking read that waited for another transaction
/// returns the rows as that transaction left them.
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

/// Returns true if the session and the presented secret are still valid, and the user is still active and at
/// `version`. If `locks`, the rows of the session and the user stay locked until the transaction ends.
/// Otherwise the caller must have locked the user's row.
pub(crate) fn is_unchanged(
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
