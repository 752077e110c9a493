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
    /// Personal tokens past their time.
    pub personal_tokens: usize,
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
        self.sessions += batch.sessions;
        self.personal_tokens += batch.personal_tokens;
        self.revocations += batch.revocations;
        self.password_links += batch.password_links;
        self.audit_events += batch.audit_events;
        self.refusals += batch.refusals;
        self.attempts += batch.attempts;
        self.known_addresses += batch.known_addresses;
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        let kept = self.audit_events + self.refusals + self.known_addresses;
        self.sessions + self.personal_tokens + self.revocations + self.password_links + self.attempts + kept
    }
}

/// Whose rows go when. A session's row stays until its whole lifetime is over, ended or not: until then a copied
/// refresh token is found out by it. A day more lets what is late be refused with its reason.
const SESSIONS: &str = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions \
    WHERE expires_at < now() - interval '1 day' LIMIT $1 FOR UPDATE SKIP LOCKED)";
const PERSONAL_TOKENS: &str = "DELETE FROM personal_tokens WHERE id IN (SELECT id FROM personal_tokens \
    WHERE expires_at < now() - interval '30 days' LIMIT $1 FOR UPDATE SKIP LOCKED)";
const REVOCATIONS: &str = "DELETE FROM revocations WHERE position IN (SELECT position FROM revocations \
    WHERE matters_until < now() - interval '1 day' LIMIT $1)";
const PASSWORD_LINKS: &str = "DELETE FROM password_links WHERE digest IN (SELECT digest FROM password_links \
    WHERE expires_at < now() - interval '1 day' LIMIT $1)";
/// A count falls to nothing within hours of the last try, and no wait is longer than a day. There are only as many rows as
/// tries are taken.
const ATTEMPTS: &str = "DELETE FROM attempts WHERE (kind, digest) IN (SELECT kind, digest FROM attempts \
    WHERE counted_at < now() - interval '2 days' LIMIT $1 FOR UPDATE SKIP LOCKED)";
/// A few rows a day, which nobody misses in the count of what was deleted.
const REFUSAL_COUNTS: &str = "DELETE FROM refusal_counts WHERE day < now() - $1 * interval '1 second'";
const AUDIT_EVENTS: &str = "DELETE FROM audit_events WHERE id IN (SELECT id FROM audit_events \
    WHERE occurred_at < now() - $2 * interval '1 second' LIMIT $1)";
const REFUSALS: &str = "DELETE FROM refusals WHERE position IN (SELECT position FROM refusals \
    WHERE occurred_at < now() - $2 * interval '1 second' LIMIT $1)";
const KNOWN_ADDRESSES: &str = "DELETE FROM known_addresses WHERE (user_id, network) IN (SELECT user_id, network \
    FROM known_addresses WHERE last_used_at < now() - $2 * interval '1 second' LIMIT $1)";

/// Prunes everything, a batch at a time, on the pool.
///
/// # Errors
/// See [`DatabaseError`]; what was deleted by then is.
pub async fn run(database: &Database, retention: Retention) -> Result<Pruned, DatabaseError> {
    let mut pruned = Pruned::default();
    loop {
        let batch = database.run(move |connection| prune_batch(connection, retention)).await?;
        pruned.add(batch);
        if batch.total() == 0 {
            return Ok(pruned);
        }
    }
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    locked: bool,
}

/// Deletes at most a batch of each; nothing while another process does.
///
/// # Errors
/// PostgreSQL's.
pub fn prune_batch(connection: &mut PgConnection, retention: Retention) -> QueryResult<Pruned> {
    super::transaction(connection, |connection| {
        let lock: Locked = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked")
            .bind::<BigInt, _>(LOCK)
            .get_result(connection)?;
        if !lock.locked {
            return Ok(Pruned::default());
        }
        let mut delete =
            |statement| diesel::sql_query(statement).bind::<BigInt, _>(BATCH).execute(connection);
        let mut pruned = Pruned {
            sessions: delete(SESSIONS)?,
            personal_tokens: delete(PERSONAL_TOKENS)?,
            revocations: delete(REVOCATIONS)?,
            password_links: delete(PASSWORD_LINKS)?,
            attempts: delete(ATTEMPTS)?,
            ..Pruned::default()
        };
        for (statement, retention, deleted) in [
            (AUDIT_EVENTS, retention.audit_events, &mut pruned.audit_events),
            (REFUSALS, retention.refusals, &mut pruned.refusals),
            (KNOWN_ADDRESSES, retention.known_addresses, &mut pruned.known_addresses),
        ] {
            *deleted = diesel::sql_query(statement)
                .bind::<BigInt, _>(BATCH)
                .bind::<Double, _>(retention.as_secs_f64())
                .execute(connection)?;
        }
        diesel::sql_query(REFUSAL_COUNTS)
            .bind::<Double, _>(retention.audit_events.as_secs_f64())
            .execute(connection)?;
        Ok(pruned)
    })
}
