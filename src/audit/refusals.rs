//! Keeps refused requests for a while under their request ids. They are queued in memory and written in batches off the
//! requests' path; those that find no room are dropped and counted. Of each lane the database keeps a bounded number of
//! rows, shared fairly among users.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Uuid as SqlUuid};
use serde_json::Value;
use uuid::Uuid;

use super::event::comparable;
use super::refusal_queue::Queue;
use super::refusal_trim;
use crate::database::schema::refusals;
use crate::database::{Database, DatabaseError};

pub use super::refusal_queue::{Lane, NewRefusal, Owner};
pub use super::refusal_trim::find_newest_to_go;

/// How often the batch is written.
pub const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Rows that one statement inserts.
const BATCH: usize = 250;

/// What waits to be written. Clones share it.
#[derive(Clone, Debug)]
pub struct KeptRefusals {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    keeps: bool,
    rows: u32,
    waiting: Mutex<Waiting>,
    kept: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    queue: Queue,
    /// Rows of each lane that were written since its oldest were last deleted.
    untrimmed: [i64; Lane::ALL.len()],
}

impl KeptRefusals {
    /// Keeps refusals for `retention`, none when it is zero, and at most `rows` of them.
    #[must_use]
    pub fn new(retention: Duration, rows: u32) -> Self {
        let shared = Shared {
            keeps: !retention.is_zero(),
            rows,
            waiting: Mutex::default(),
            kept: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether any is kept at all.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.shared.keeps
    }

    /// Queues a refusal if its lane has a place for its owner; only then it is made at all.
    pub fn offer(&self, lane: Lane, owner: Owner, make: impl FnOnce() -> NewRefusal) {
        if !self.shared.keeps {
            return;
        }
        let make = || {
            let mut refusal = make();
            refusal.problem = storable(refusal.problem);
            refusal
        };
        let dropped = self.lock().queue.offer(lane, owner, make);
        if dropped > 0 {
            self.drop(dropped);
        }
    }

    /// Whether the refusal of this request waits to be written.
    #[must_use]
    pub fn is_waiting(&self, request_id: Uuid) -> bool {
        self.lock().queue.contains(request_id)
    }

    fn drop(&self, count: usize) {
        self.shared.dropped.fetch_add(count as u64, Ordering::Relaxed);
        metrics::counter!("doorward_refusals_dropped_total").increment(count as u64);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many were written, and how many dropped, by this process.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.shared.kept.load(Ordering::Relaxed), self.shared.dropped.load(Ordering::Relaxed))
    }

    /// Writes what waits; while the database does not take it, it goes on waiting.
    ///
    /// # Errors
    /// The database's.
    pub async fn flush(&self, database: &Database) -> Result<(), DatabaseError> {
        for lane in Lane::ALL {
            let taken = self.lock().queue.take(lane);
            let mut batches = taken.chunks(BATCH);
            while let Some(batch) = batches.next() {
                let rows: Vec<NewRefusal> = batch.iter().map(|(_, row)| row.clone()).collect();
                if let Err(error) = database.run(move |connection| insert(connection, &rows)).await {
                    let left = batch.iter().chain(batches.flatten()).cloned().collect();
                    self.put_back(lane, left);
                    return Err(error);
                }
                self.shared.kept.fetch_add(batch.len() as u64, Ordering::Relaxed);
                metrics::counter!("doorward_refusals_kept_total").increment(batch.len() as u64);
                self.lock().untrimmed[lane as usize] += i64::try_from(batch.len()).unwrap_or(i64::MAX);
            }
        }
        self.trim(database).await
    }

    fn put_back(&self, lane: Lane, left: Vec<(Owner, NewRefusal)>) {
        let over = self.lock().queue.put_back(lane, left);
        if over > 0 {
            self.drop(over);
        }
    }

    /// Deletes a lane's rows beyond its bound once a hundredth of it was written. After a failure it waits for as many rows
    /// again.
    async fn trim(&self, database: &Database) -> Result<(), DatabaseError> {
        for lane in Lane::ALL {
            let room = lane.share(self.shared.rows);
            let untrimmed = self.lock().untrimmed[lane as usize];
            if untrimmed < (room / 100).max(1) {
                continue;
            }
            self.lock().untrimmed[lane as usize] = 0;
            if let Err(error) = refusal_trim::run(database, lane, room).await {
                tracing::warn!(%error, lane = lane.as_str(), "old refusals could not be deleted; retrying later");
                return Err(error);
            }
        }
        Ok(())
    }
}

/// PostgreSQL has no U+0000, and the name of a member that a stranger sent may hold one: a row that can never be written would
/// hold up all after it.
fn storable(value: Value) -> Value {
    let text = |text: String| text.replace('\0', "\u{fffd}");
    match value {
        Value::String(string) => Value::String(text(string)),
        Value::Array(items) => Value::Array(items.into_iter().map(storable).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (text(name), storable(value))).collect())
        }
        other => other,
    }
}

/// A token that was refused names its session alone where its user was not looked up: it is looked up here.
fn insert(connection: &mut PgConnection, rows: &[NewRefusal]) -> QueryResult<()> {
    diesel::insert_into(refusals::table).values(rows).execute(connection)?;
    let unowned: Vec<Uuid> = rows
        .iter()
        .filter(|row| row.user_id.is_none() && row.session_id.is_some())
        .map(|row| row.request_id)
        .collect();
    if unowned.is_empty() {
        return Ok(());
    }
    diesel::update(refusals::table.filter(refusals::request_id.eq_any(unowned)))
        .set(refusals::user_id.eq(sql::<Nullable<SqlUuid>>(
            "(SELECT sessions.user_id FROM sessions WHERE sessions.id = refusals.session_id)",
        )))
        .execute(connection)
        .map(|_| ())
}

/// A kept refusal.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = refusals, check_for_backend(diesel::pg::Pg))]
pub struct Refusal {
    /// In the order of writing.
    pub position: i64,
    /// The request's id.
    pub request_id: Uuid,
    /// See [`Lane::as_str`].
    pub lane: String,
    /// By the node's clock.
    pub occurred_at: DateTime<Utc>,
    /// The request's method.
    pub method: String,
    /// The pattern that its path matched.
    pub route: String,
    /// Its path, without the query.
    pub path: String,
    /// The answer's status.
    pub status: i16,
    /// The client's address, as far as proxies are believed.
    pub address: Option<String>,
    /// Who the connection was from.
    pub peer: Option<String>,
    /// What `X-Forwarded-For` said, believed or not, with `Forwarded` beside or in place of it.
    pub forwarded_for: Option<String>,
    /// What was sent.
    pub credential_kind: Option<String>,
    /// Its public id.
    pub credential_id: Option<Uuid>,
    /// Its session.
    pub session_id: Option<Uuid>,
    /// Whose it is.
    pub user_id: Option<Uuid>,
    /// The refusal's code; none: let in.
    pub code: Option<String>,
    /// What the answer said.
    pub problem: Value,
    /// The checks with their outcomes.
    pub checks: Value,
}

/// The refusal of this request.
///
/// # Errors
/// PostgreSQL's.
pub fn find(connection: &mut PgConnection, request_id: Uuid) -> QueryResult<Option<Refusal>> {
    refusals::table
        .filter(refusals::request_id.eq(request_id))
        .select(Refusal::as_select())
        .first(connection)
        .optional()
}

/// What to list; every condition set must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Whose credential it was.
    pub user_id: Option<Uuid>,
    /// Of this code.
    pub code: Option<String>,
    /// On a route or path that contains this.
    pub route: Option<String>,
    /// Not before.
    pub since: Option<DateTime<Utc>>,
    /// Only those written before that of this request.
    pub before: Option<Uuid>,
}

/// At most `limit` refusals, newest first.
///
/// # Errors
/// PostgreSQL's.
pub fn list(connection: &mut PgConnection, filter: &Filter, limit: i64) -> QueryResult<Vec<Refusal>> {
    let mut query =
        refusals::table.filter(refusals::code.is_not_null()).select(Refusal::as_select()).into_boxed();
    if let Some(user_id) = filter.user_id {
        query = query.filter(refusals::user_id.eq(user_id));
    }
    if let Some(code) = &filter.code {
        query = query.filter(refusals::code.eq(code));
    }
    if let Some(route) = &filter.route {
        let part = format!("%{}%", route.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        query = query.filter(refusals::route.like(part.clone()).or(refusals::path.like(part)));
    }
    if let Some(since) = comparable(filter.since) {
        query = query.filter(refusals::occurred_at.ge(since));
    }
    if let Some(before) = filter.before {
        let last = diesel::alias!(refusals as last);
        let position = last
            .filter(last.field(refusals::request_id).eq(before))
            .select(last.field(refusals::position))
            .single_value();
        query = query.filter(refusals::position.nullable().lt(position));
    }
    query.order(refusals::position.desc()).limit(limit).load(connection)
}

/// Forgets where the refused requests of a user came from, whose account is deleted.
///
/// # Errors
/// PostgreSQL's.
pub fn forget_addresses(connection: &mut PgConnection, user_id: Uuid) -> QueryResult<()> {
    let nothing = None::<String>;
    diesel::update(refusals::table.filter(refusals::user_id.eq(user_id)))
        .set((
            refusals::address.eq(&nothing),
            refusals::peer.eq(&nothing),
            refusals::forwarded_for.eq(&nothing),
        ))
        .execute(connection)
        .map(|_| ())
}

/// How many are kept.
///
/// # Errors
/// PostgreSQL's.
pub fn count(connection: &mut PgConnection) -> QueryResult<i64> {
    refusals::table.select(sql::<BigInt>("count(*)")).first(connection)
}
