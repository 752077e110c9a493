//! Stores the longest lifetime of access tokens with each signing key. It determines when a replaced key
//! retires.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use super::revocation::{self, Revocation};
use crate::database::nodes;
use crate::database::schema::signing_keys;

/// The lifetime in seconds if neither a node nor a key has one. Nodes of an earlier version may be running.
const UNKNOWN: i64 = 86_400;

/// Converts a lifetime to seconds, as the database stores it.
#[must_use]
pub fn in_seconds(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX).max(1)
}

/// Locks the table of keys until the transaction ends, against inserts and changes of lifetimes by others.
pub(super) fn lock(connection: &mut PgConnection) -> QueryResult<()> {
    diesel::sql_query("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE").execute(connection).map(|_| ())
}

/// Returns the longest lifetime, in seconds, that a new key must allow. It is the nodes' longest, or the
/// newest key's if no node has reported one.
pub fn find_longest_ttl(connection: &mut PgConnection) -> QueryResult<i64> {
    if let Some(longest) = nodes::find_longest_ttl(connection)? {
        return Ok(longest);
    }
    let newest = signing_keys::table
        .filter(signing_keys::revoked_at.is_null())
        .order(signing_keys::signs_from.desc())
        .select(signing_keys::longest_ttl_seconds)
        .first(connection)
        .optional()?;
    Ok(newest.unwrap_or(UNKNOWN))
}

/// Raises the longest lifetime of each key that signs now or later. A node does this in its own transaction
/// before it issues tokens of this lifetime. A trigger postpones the retirement of a key whose successor is
/// already published. Returns whether any key changed.
pub fn raise_longest_ttl(connection: &mut PgConnection, ttl_seconds: i64) -> QueryResult<bool> {
    lock(connection)?;
    #[derive(QueryableByName)]
    struct Raised {
        #[diesel(sql_type = Bool)]
        is_replaced: bool,
    }
    let raised: Vec<Raised> = diesel::sql_query(
        "UPDATE signing_keys AS key SET longest_ttl_seconds = $1
         WHERE key.revoked_at IS NULL AND key.longest_ttl_seconds < $1
            AND (key.retires_at IS NULL OR key.retires_at > now())
            AND NOT EXISTS (SELECT FROM signing_keys AS later
                WHERE later.revoked_at IS NULL AND later.signs_from <= now()
                    AND (later.signs_from, later.kid) > (key.signs_from, key.kid))
         RETURNING key.retires_at IS NOT NULL AS is_replaced",
    )
    .bind::<BigInt, _>(ttl_seconds)
    .load(connection)?;
    if raised.iter().any(|key| key.is_replaced) {
        publish(connection)?;
    }
    Ok(!raised.is_empty())
}

/// Makes every node reload the keys. Nodes of earlier versions understand only this event.
pub(super) fn publish(connection: &mut PgConnection) -> QueryResult<()> {
    revocation::insert_change(connection, &Revocation::Everything, "signing_keys_changed")
}
