//! Deletes expired rows in batches, in one process at a time.

use std::time::Duration;

use diesel::sql_types::{BigInt, Double};
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl};

use super::{Database, DatabaseError};

/// The maximum number of rows that one statement deletes.
const BATCH: i64 = 5_000;
/// The advisory lock's number: "prune" in ASCII.
const LOCK: i64 = 0x70_7275_6e65;

/// The retention periods from the settings.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    pub audit_events: Duration,
    /// The retention of refused requests.
    pub refusals: Duration,
    /// The retention of addresses that accounts were signed in to from.
    pub known_addresses: Duration,
}

/// The number of deleted rows of each kind.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Pruned {
    /// Sessions past their maximum lifetime, with their refresh tokens.
    pub sessions: usize,
    /// Ended sessions whose tokens have all expired.
    pub ended_sessions: usize,
    /// Expired personal tokens.
    pub personal_tokens: usize,
    /// Personal tokens that were revoked longer ago than audit events are kept.
    pub revoked_tokens: usize,
    /// Rows of the feed that no longer affect any token.
    pub revocations: usize,
    /// Expired links for setting a password.
    pub password_links: usize,
    /// Audit events past their retention.
    pub audit_events: usize,
    /// Refused requests past their retention.
    pub refusals: usize,
    /// Attempt counters that have dropped to zero.
    pub attempts: usize,
    /// Addresses past their retention.
    pub known_addresses: usize,
}

impl Pruned {
    /// Adds the counts of another batch.
    pub fn add(&mut self, batch: Self) {
        for ((_, sum), (_, rows)) in self.by_kind_mut().into_iter().zip(batch.by_kind()) {
            *sum += rows;
        }
    }

    #[must_use]
    pub fn total(&self) -> usize {
        self.by_kind().iter().map(|(_, rows)| rows).sum()
    }

    /// Returns each kind's name in metrics, with its number of rows.
    #[must_use]
    pub fn by_kind(mut self) -> [(&'static str, usize); 10] {
        self.by_kind_mut().map(|(kind, rows)| (kind, *rows))
    }

    fn by_kind_mut(&mut self) -> [(&'static str, &mut usize); 10] {
        [
            ("sessions", &mut self.sessions),
            ("ended_sessions", &mut self.ended_sessions),
            ("personal_tokens", &mut self.personal_tokens),
            ("revoked_tokens", &mut self.revoked_tokens),
            ("revocations", &mut self.revocations),
            ("password_links", &mut self.password_links),
            ("audit_events", &mut self.audit_events),
            ("refusals", &mut self.refusals),
            ("attempts", &mut self.attempts),
            ("known_addresses", &mut self.known_addresses),
        ]
    }
}

/// A rule that selects the expired rows of one kind.
struct Stale {
    table: &'static str,
    key: &'static str,
    /// The column with the time at which a row expires.
    at: &'static str,
    /// The number of seconds between that time and the deletion.
    after: f64,
    /// The condition for rows that another kind counts and deletes.
    others: &'static str,
    /// True if others also write these rows, so that some may be locked.
    may_be_locked: bool,
}

const DAY: f64 = 86_400.0;

/// Returns the rules for all kinds, in the order of [`Pruned::by_kind`].
fn stale(retention: Retention) -> [Stale; 10] {
    let of = |table, key, at, after| Stale { table, key, at, after, others: "false", may_be_locked: false };
    [
        // A session that was not ended keeps its row for its maximum lifetime, because the row detects a
        // copied refresh token. With another day, late requests are refused with the correct reason.
        Stale { may_be_locked: true, ..of("sessions", "id", "expires_at", DAY) },
        // An ended session's row only serves to give the reason when one of its tokens is presented.
        Stale {
            others: "expires_at < now() - interval '1 day'",
            may_be_locked: true,
            ..of("sessions", "id", "presentable_until", DAY)
        },
        Stale { may_be_locked: true, ..of("personal_tokens", "id", "expires_at", 30.0 * DAY) },
        // The audit log keeps who revoked the token, and when, for the same time.
        Stale {
            others: "expires_at < now() - interval '30 days'",
            may_be_locked: true,
            ..of("personal_tokens", "id", "revoked_at", retention.audit_events.as_secs_f64())
        },
        of("revocations", "position", "matters_until", DAY),
        of("password_links", "digest", "expires_at", DAY),
        of("audit_events", "id", "occurred_at", retention.audit_events.as_secs_f64()),
        of("refusals", "position", "occurred_at", retention.refusals.as_secs_f64()),
        // A count drops to zero within hours of the last attempt, and no wait is longer than a day. The
        // number of rows is limited by the number of attempts.
        Stale { may_be_locked: true, ..of("attempts", "kind, digest", "counted_at", 2.0 * DAY) },
        of("known_addresses", "user_id, network", "last_used_at", retention.known_addresses.as_secs_f64()),
    ]
}

/// Deletes old refusal counts. There are only a few rows a day, so they are not counted as deleted.
const REFUSAL_COUNTS: &str = "DELETE FROM refusal_counts WHERE day < now() - $1 * interval '1 second'";

impl Stale {
    fn condition(&self) -> String {
        format!("{} < now() - $1 * interval '1 second' AND NOT ({})", self.at, self.others)
    }

    fn delete_batch(&self, connection: &mut PgConnection) -> QueryResult<usize> {
        let (Self { table, key, .. }, condition) = (self, self.condition());
        let skip = if self.may_be_locked { "FOR UPDATE SKIP LOCKED" } else { "" };
        diesel::sql_query(format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {condition} LIMIT $2 {skip})"
        ))
        .bind::<Double, _>(self.after)
        .bind::<BigInt, _>(BATCH)
        .execute(connection)
    }

    fn count(&self, connection: &mut PgConnection) -> QueryResult<usize> {
        let query = format!("SELECT count(*) FROM {} WHERE {}", self.table, self.condition());
        let counted: Counted =
            diesel::sql_query(query).bind::<Double, _>(self.after).get_result(connection)?;
        Ok(usize::try_from(counted.count).unwrap_or_default())
    }
}

/// Deletes the expired rows of every kind, in batches. Calls `each` after every batch. Returns `None` if
/// another process is pruning, and leaves the rest to it.
///
/// # Errors
/// See [`DatabaseError`]. Batches deleted before the error stay deleted.
pub async fn run(
    database: &Database,
    retention: Retention,
    mut each: impl FnMut(Pruned),
) -> Result<Option<Pruned>, DatabaseError> {
    let mut pruned = Pruned::default();
    loop {
        let batch = database.run(move |connection| prune_batch(connection, retention)).await?;
        let Some(batch) = batch else { return Ok(None) };
        if batch.total() == 0 {
            return Ok(Some(pruned));
        }
        each(batch);
        pruned.add(batch);
    }
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct LockResult {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    locked: bool,
}

/// Counts the expired rows. Deletes nothing, and does not wait for locks.
pub fn count(connection: &mut PgConnection, retention: Retention) -> QueryResult<Pruned> {
    let mut counted = Pruned::default();
    for (stale, (_, rows)) in stale(retention).iter().zip(counted.by_kind_mut()) {
        *rows = stale.count(connection)?;
    }
    Ok(counted)
}

/// Deletes at most one batch of each kind. Returns `None` if another process is pruning.
pub fn prune_batch(connection: &mut PgConnection, retention: Retention) -> QueryResult<Option<Pruned>> {
    super::transaction(connection, |connection| {
        let lock: LockResult = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked")
            .bind::<BigInt, _>(LOCK)
            .get_result(connection)?;
        if !lock.locked {
            return Ok(None);
        }
        let mut pruned = Pruned::default();
        for (stale, (_, rows)) in stale(retention).iter().zip(pruned.by_kind_mut()) {
            *rows = stale.delete_batch(connection)?;
        }
        diesel::sql_query(REFUSAL_COUNTS)
            .bind::<Double, _>(retention.audit_events.as_secs_f64())
            .execute(connection)?;
        Ok(Some(pruned))
    })
}
