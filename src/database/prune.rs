//! Deletes what is past its time, in batches, by one process at a time.

use std::time::Duration;

use diesel::sql_types::{BigInt, Double};
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl};

use super::{Database, DatabaseError};

/// Rows that one statement deletes at most.
const BATCH: i64 = 5_000;
/// The advisory lock's number: "prune" in ASCII.
const LOCK: i64 = 0x70_7275_6e65;

/// How long what happened is kept. Settings.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// The audit log.
    pub audit_events: Duration,
    /// Refused requests.
    pub refusals: Duration,
    /// From where accounts were signed in to.
    pub known_addresses: Duration,
}

/// Rows that were deleted.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Pruned {
    /// Sessions past their whole lifetime, with their refresh tokens.
    pub sessions: usize,
    /// Ended sessions of which nothing could still be presented.
    pub ended_sessions: usize,
    /// Personal tokens past their time.
    pub personal_tokens: usize,
    /// Personal tokens that were revoked longer ago than the audit log remembers.
    pub revoked_tokens: usize,
    /// Rows of the feed that concern nothing any more.
    pub revocations: usize,
    /// Links past their time.
    pub password_links: usize,
    /// Audit events past their retention.
    pub audit_events: usize,
    /// Refused requests past their retention.
    pub refusals: usize,
    /// Counts of tries that have fallen to nothing.
    pub attempts: usize,
    /// Addresses past their retention.
    pub known_addresses: usize,
}

impl Pruned {
    /// Counts another batch in.
    pub fn add(&mut self, batch: Self) {
        for ((_, sum), (_, rows)) in self.by_kind_mut().into_iter().zip(batch.by_kind()) {
            *sum += rows;
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.by_kind().iter().map(|(_, rows)| rows).sum()
    }

    /// Each kind's name in metrics, and its rows.
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

/// Rows of a kind that are past their time.
struct Stale {
    table: &'static str,
    key: &'static str,
    /// What says when their time was.
    at: &'static str,
    /// How long after it they go, in seconds.
    after: f64,
    /// The rows among them that another kind counts and deletes.
    others: &'static str,
    /// Whether others write them too, so that some may be locked.
    may_be_locked: bool,
}

const DAY: f64 = 86_400.0;

/// Whose rows go when, in the order of [`Pruned::by_kind`].
fn stale(retention: Retention) -> [Stale; 10] {
    let of = |table, key, at, after| Stale { table, key, at, after, others: "false", may_be_locked: false };
    [
        // A session that was not ended keeps its row until its whole lifetime is over: until then a copied refresh token is
        // found out by it. A day more lets what is late be refused with its reason.
        Stale { may_be_locked: true, ..of("sessions", "id", "expires_at", DAY) },
        // One that was ended is there only to say so to whoever presents what it left.
        Stale {
            others: "expires_at < now() - interval '1 day'",
            may_be_locked: true,
            ..of("sessions", "id", "presentable_until", DAY)
        },
        Stale { may_be_locked: true, ..of("personal_tokens", "id", "expires_at", 30.0 * DAY) },
        // Who revoked it, and when, is in the audit log as long.
        Stale {
            others: "expires_at < now() - interval '30 days'",
            may_be_locked: true,
            ..of("personal_tokens", "id", "revoked_at", retention.audit_events.as_secs_f64())
        },
        of("revocations", "position", "matters_until", DAY),
        of("password_links", "digest", "expires_at", DAY),
        of("audit_events", "id", "occurred_at", retention.audit_events.as_secs_f64()),
        of("refusals", "position", "occurred_at", retention.refusals.as_secs_f64()),
        // A count falls to nothing within hours of the last try, and no wait is longer than a day. There are only as many
        // rows as tries are taken.
        Stale { may_be_locked: true, ..of("attempts", "kind, digest", "counted_at", 2.0 * DAY) },
        of("known_addresses", "user_id, network", "last_used_at", retention.known_addresses.as_secs_f64()),
    ]
}

/// A few rows a day, which nobody misses in the count of what was deleted.
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

/// Prunes everything, a batch at a time, on the pool. `None`: another process is at it, and this one leaves the rest to
/// it; what it had deleted by then was counted by `each`, batch by batch.
///
/// # Errors
/// See [`DatabaseError`]; what was deleted by then is.
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
struct Locked {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    locked: bool,
}

/// Counts what is past its time; deletes nothing, and waits for nobody.
///
/// # Errors
/// PostgreSQL's.
pub fn count(connection: &mut PgConnection, retention: Retention) -> QueryResult<Pruned> {
    let mut counted = Pruned::default();
    for (stale, (_, rows)) in stale(retention).iter().zip(counted.by_kind_mut()) {
        *rows = stale.count(connection)?;
    }
    Ok(counted)
}

/// Deletes at most a batch of each; `None`: another process is at it.
///
/// # Errors
/// PostgreSQL's.
pub fn prune_batch(connection: &mut PgConnection, retention: Retention) -> QueryResult<Option<Pruned>> {
    super::transaction(connection, |connection| {
        let lock: Locked = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked")
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
