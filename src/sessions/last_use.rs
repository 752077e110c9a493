//! Records when sessions and personal tokens were last used, and the latest generation whose access token was
//! presented. Uses are collected in memory and written in batches outside the requests.
//!
//! A presented access token proves that the response with it arrived. Rotation relies on that generation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{Array, Double, Integer, Uuid as SqlUuid};
use uuid::Uuid;

use crate::database::{Database, DatabaseError};

/// Interval between two writes of the batch. The documentation promises 5 s.
pub(crate) const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// A use is written only if it is this much later than the time in the row. A session in constant use is
/// therefore not written constantly.
const STEP: Duration = Duration::from_secs(10);
/// The maximum number of rows that one statement writes.
const BATCH: usize = 1_000;
/// The maximum number of entries kept while the database does not accept writes. Beyond that, only existing
/// entries are updated.
const MOST: usize = 500_000;

/// Uses that are not written yet. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct LastUse {
    recorded: Arc<Mutex<RecordedUses>>,
}

#[derive(Debug, Default)]
struct RecordedUses {
    sessions: HashMap<Uuid, SessionUse>,
    personal_tokens: HashMap<Uuid, Instant>,
}

#[derive(Clone, Copy, Debug)]
struct SessionUse {
    /// The highest generation whose access token was presented; 0 for a browser's session.
    generation: i32,
    at: Instant,
    /// True if the caller was authorized. Only then does the time of last use change.
    authorized: bool,
}

impl LastUse {
    /// Records that a genuine access token of this session and generation was presented, whether or not it
    /// was accepted.
    pub fn record_presented(&self, session_id: Uuid, generation: i32) {
        self.record_session(session_id, SessionUse { generation, at: Instant::now(), authorized: false });
    }

    /// Records that a caller was authorized with this session.
    pub fn record_used(&self, session_id: Uuid) {
        self.record_session(session_id, SessionUse { generation: 0, at: Instant::now(), authorized: true });
    }

    pub fn record_personal_token(&self, id: Uuid) {
        self.record_token(id, Instant::now());
    }

    fn record_token(&self, id: Uuid, at: Instant) {
        let recorded = &mut self.lock().personal_tokens;
        if has_room(recorded.len(), recorded.contains_key(&id)) {
            recorded.entry(id).and_modify(|last| *last = at.max(*last)).or_insert(at);
        }
    }

    fn record_session(&self, id: Uuid, new: SessionUse) {
        let recorded = &mut self.lock().sessions;
        if has_room(recorded.len(), recorded.contains_key(&id)) {
            recorded.entry(id).and_modify(|old| *old = old.merged(new)).or_insert(new);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, RecordedUses> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the recorded uses. Rows that someone else has locked, and everything while the database is
    /// unavailable, stay for the next call.
    ///
    /// # Errors
    /// The database's. No recorded use is lost.
    pub async fn flush(&self, database: &Database) -> Result<(), DatabaseError> {
        let mut pending = PendingWrite { by: self, recorded: std::mem::take(&mut *self.lock()) };
        write_all(database, &mut pending.recorded.sessions, write_sessions).await?;
        write_all(database, &mut pending.recorded.personal_tokens, write_tokens).await
    }
}

/// Uses that were taken out to be written. `Drop` puts back those that were not written.
struct PendingWrite<'a> {
    by: &'a LastUse,
    recorded: RecordedUses,
}

impl Drop for PendingWrite<'_> {
    fn drop(&mut self) {
        for (id, used) in self.recorded.sessions.drain() {
            self.by.record_session(id, used);
        }
        for (id, at) in self.recorded.personal_tokens.drain() {
            self.by.record_token(id, at);
        }
    }
}

/// Writes a batch sorted by ID. Returns the IDs that need no further write.
type Write<U> = fn(&mut PgConnection, &[(Uuid, U)]) -> QueryResult<Vec<Uuid>>;

/// Writes in batches until one fails, and removes the entries that were written.
async fn write_all<U: Copy + Send + 'static>(
    database: &Database,
    recorded: &mut HashMap<Uuid, U>,
    write: Write<U>,
) -> Result<(), DatabaseError> {
    let mut rows: Vec<(Uuid, U)> = recorded.iter().map(|(id, used)| (*id, *used)).collect();
    // All code locks rows in the order of their IDs.
    rows.sort_unstable_by_key(|(id, _)| *id);
    for batch in rows.chunks(BATCH) {
        let batch = batch.to_vec();
        for id in database.run(move |connection| write(connection, &batch)).await? {
            recorded.remove(&id);
        }
    }
    Ok(())
}

/// Returns whether another use may be recorded. An entry that exists can always be updated.
fn has_room(recorded: usize, is_recorded: bool) -> bool {
    is_recorded || recorded < MOST
}

impl SessionUse {
    fn merged(self, other: Self) -> Self {
        Self {
            generation: self.generation.max(other.generation),
            at: self.at.max(other.at),
            authorized: self.authorized || other.authorized,
        }
    }
}

/// Returns the IDs of a batch without those whose rows are locked by others.
fn processed<U>(batch: &[(Uuid, U)], locked: &[Uuid]) -> Vec<Uuid> {
    batch.iter().map(|(id, _)| *id).filter(|id| !locked.contains(id)).collect()
}

fn write_sessions(connection: &mut PgConnection, batch: &[(Uuid, SessionUse)]) -> QueryResult<Vec<Uuid>> {
    let generations: Vec<(Uuid, SessionUse)> =
        batch.iter().filter(|(_, used)| used.generation > 0).copied().collect();
    let used: Vec<(Uuid, Instant)> =
        batch.iter().filter(|(_, used)| used.authorized).map(|(id, used)| (*id, used.at)).collect();
    let mut locked = write_generations(connection, &generations)?;
    locked.extend(write_times(connection, "sessions", &used)?);
    Ok(processed(batch, &locked))
}

#[derive(QueryableByName)]
struct LockedRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Writes the generations. Returns the IDs whose rows others have locked. An access token from after a
/// step-up starts the grace period of the secrets before it.
fn write_generations(connection: &mut PgConnection, batch: &[(Uuid, SessionUse)]) -> QueryResult<Vec<Uuid>> {
    let ids: Vec<Uuid> = batch.iter().map(|(id, _)| *id).collect();
    let generations: Vec<i32> = batch.iter().map(|(_, used)| used.generation).collect();
    let locked: Vec<LockedRow> = diesel::sql_query(
        "WITH seen AS (
            SELECT * FROM unnest($1, $2) AS seen (id, generation)
        ), due AS (
            SELECT t.session_id FROM refresh_tokens AS t JOIN seen ON seen.id = t.session_id
             WHERE t.used_generation < seen.generation
        ), free AS (
            SELECT session_id FROM refresh_tokens WHERE session_id IN (SELECT session_id FROM due)
             ORDER BY session_id FOR UPDATE SKIP LOCKED
        ), written AS (
            UPDATE refresh_tokens AS t SET used_generation = greatest(t.used_generation, seen.generation)
              FROM seen, free WHERE free.session_id = t.session_id AND seen.id = t.session_id
        ), superseded AS (
            UPDATE former_secrets AS f SET superseded_at = now()
              FROM seen, free WHERE free.session_id = f.session_id AND seen.id = f.session_id
                AND f.successor <= seen.generation AND f.superseded_at IS NULL
            RETURNING f.session_id
        ), renewed AS (
            INSERT INTO revocations (kind, subject, reason, matters_until)
            SELECT DISTINCT 'session_changed', session_id::text, 'session_renewed', now() FROM superseded
        )
        SELECT session_id AS id FROM due EXCEPT SELECT session_id FROM free",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Integer>, _>(generations)
    .load(connection)?;
    Ok(locked.into_iter().map(|row| row.id).collect())
}

fn write_tokens(connection: &mut PgConnection, batch: &[(Uuid, Instant)]) -> QueryResult<Vec<Uuid>> {
    let locked = write_times(connection, "personal_tokens", batch)?;
    Ok(processed(batch, &locked))
}

/// Writes the times of last use to a table. Returns the IDs whose rows others have locked. The parameters are
/// ages instead of times, so the clocks of node and database are not compared.
fn write_times(
    connection: &mut PgConnection,
    table: &'static str,
    batch: &[(Uuid, Instant)],
) -> QueryResult<Vec<Uuid>> {
    let ids: Vec<Uuid> = batch.iter().map(|(id, _)| *id).collect();
    let ages: Vec<f64> = batch.iter().map(|(_, at)| at.elapsed().as_secs_f64()).collect();
    let locked: Vec<LockedRow> = diesel::sql_query(format!(
        "WITH seen AS (
            SELECT id, now() - age * interval '1 second' AS at FROM unnest($1, $2) AS seen (id, age)
        ), due AS (
            SELECT t.id FROM {table} AS t JOIN seen ON seen.id = t.id
             WHERE t.last_used_at IS NULL OR t.last_used_at < seen.at - $3 * interval '1 second'
        ), free AS (
            SELECT id FROM {table} WHERE id IN (SELECT id FROM due) ORDER BY id FOR UPDATE SKIP LOCKED
        ), written AS (
            UPDATE {table} AS t SET last_used_at = greatest(t.last_used_at, seen.at)
              FROM seen, free WHERE free.id = t.id AND seen.id = t.id
        )
        SELECT id FROM due EXCEPT SELECT id FROM free"
    ))
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Double>, _>(ages)
    .bind::<Double, _>(STEP.as_secs_f64())
    .load(connection)?;
    Ok(locked.into_iter().map(|row| row.id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_buffer_records_only_entries_that_it_already_holds() {
        assert!(has_room(MOST - 1, false) && has_room(MOST, true));
        assert!(!has_room(MOST, false));
    }
}
