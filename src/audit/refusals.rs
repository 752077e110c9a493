//! Keeps refused requests for a while under their request IDs. They are queued in memory and written in
//! batches, outside the requests. Refusals that find no room are dropped and counted. The database keeps a
//! bounded number of rows for each lane. The owners with the most rows lose their oldest ones first.

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
use crate::database::{Database, DatabaseError, escape_like};

pub use super::refusal_queue::{EntryOwner, Lane, NewKeptRefusal};
pub use super::refusal_trim::find_newest_to_go;

/// The interval between two writes of the batch.
pub const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// The number of rows that one statement inserts.
const BATCH: usize = 250;

/// The refusals that are queued to be written. Clones share them.
#[derive(Clone, Debug)]
pub struct RefusalWriter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    keeps: bool,
    rows: u32,
    waiting: Mutex<PendingRefusals>,
    kept: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct PendingRefusals {
    queue: Queue,
    /// The number of rows of each lane that were written since the lane was last trimmed.
    untrimmed: [i64; Lane::ALL.len()],
}

impl RefusalWriter {
    /// Keeps refusals for `retention`, or none if that is zero. `rows` bounds the rows of the first lane.
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

    /// Returns whether refusals are kept at all.
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.shared.keeps
    }

    /// Queues a refusal if its lane has room for its owner. Otherwise `make` is not called.
    pub fn offer(&self, lane: Lane, owner: EntryOwner, make: impl FnOnce() -> NewKeptRefusal) {
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
            self.count_dropped(dropped);
        }
    }

    /// Returns whether the refusal of this request is queued.
    #[must_use]
    pub fn is_waiting(&self, request_id: Uuid) -> bool {
        self.lock().queue.contains(request_id)
    }

    fn count_dropped(&self, count: usize) {
        self.shared.dropped.fetch_add(count as u64, Ordering::Relaxed);
        metrics::counter!("doorward_refusals_dropped_total").increment(count as u64);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PendingRefusals> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many refusals this process has written and dropped.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.shared.kept.load(Ordering::Relaxed), self.shared.dropped.load(Ordering::Relaxed))
    }

    /// Writes the queued refusals. Those that the database does not accept stay queued.
    pub async fn flush(&self, database: &Database) -> Result<(), DatabaseError> {
        for lane in Lane::ALL {
            let taken = self.lock().queue.take(lane);
            let mut batches = taken.chunks(BATCH);
            while let Some(batch) = batches.next() {
                let rows: Vec<NewKeptRefusal> = batch.iter().map(|(_, row)| row.clone()).collect();
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

    fn put_back(&self, lane: Lane, left: Vec<(EntryOwner, NewKeptRefusal)>) {
        let over = self.lock().queue.put_back(lane, left);
        if over > 0 {
            self.count_dropped(over);
        }
    }

    /// Deletes the rows of each lane beyond its bound. Runs once the rows written since the last attempt
    /// reach 1% of the bound. A failed attempt counts, so the next one also waits for 1%.
    async fn trim(&self, database: &Database) -> Result<(), DatabaseError> {
        for lane in Lane::ALL {
            let room = lane.share(self.shared.rows);
            let untrimmed = self.lock().untrimmed[lane as usize];
            if untrimmed < (room / 100).max(1) {
                continue;
            }
            self.lock().untrimmed[lane as usize] = 0;
            if let Err(error) = refusal_trim::run(database, lane, room).await {
                tracing::warn!(%error, lane = lane.as_str(), "old refusals could not be deleted; will retry");
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Replaces U+0000, which PostgreSQL cannot store. A client can send it in the name of a member. A row that
/// can never be written would block all rows after it.
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

/// Inserts refusals. A refused token whose user was not looked up has only its session, so the user is looked
/// up here.
fn insert(connection: &mut PgConnection, rows: &[NewKeptRefusal]) -> QueryResult<()> {
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
pub struct KeptRefusal {
    /// The rows have the order in which they were written.
    pub position: i64,
    pub request_id: Uuid,
    /// See [`Lane::as_str`].
    pub lane: String,
    /// The time by the node's clock.
    pub occurred_at: DateTime<Utc>,
    pub method: String,
    /// The pattern that the path matched.
    pub route: String,
    pub path: String,
    pub status: i16,
    /// The client address. Only headers of trusted proxies are used to determine it.
    pub address: Option<String>,
    /// The address of the connection's peer.
    pub peer: Option<String>,
    /// The value of `X-Forwarded-For`, trusted or not, with that of `Forwarded` if there is one.
    pub forwarded_for: Option<String>,
    pub credential_kind: Option<String>,
    /// The credential's public ID.
    pub credential_id: Option<Uuid>,
    pub session_id: Option<Uuid>,
    /// The user of the credential.
    pub user_id: Option<Uuid>,
    /// The refusal's code. `None` if the request was authorized.
    pub code: Option<String>,
    /// The body of the refusal.
    pub problem: Value,
    /// The checks with their outcomes.
    pub checks: Value,
}

/// Returns the refusal of a request.
pub fn find(connection: &mut PgConnection, request_id: Uuid) -> QueryResult<Option<KeptRefusal>> {
    refusals::table
        .filter(refusals::request_id.eq(request_id))
        .select(KeptRefusal::as_select())
        .first(connection)
        .optional()
}

/// The conditions of a listing. All that are set must hold.
#[derive(Clone, Debug, Default)]
pub struct RefusalFilter {
    /// The user of the credential.
    pub user_id: Option<Uuid>,
    pub code: Option<String>,
    /// A part of the route or path.
    pub route: Option<String>,
    /// The earliest time.
    pub since: Option<DateTime<Utc>>,
    /// Lists only refusals written before that of this request.
    pub before: Option<Uuid>,
}

/// Returns at most `limit` refusals, newest first.
pub fn list(
    connection: &mut PgConnection,
    filter: &RefusalFilter,
    limit: i64,
) -> QueryResult<Vec<KeptRefusal>> {
    let mut query =
        refusals::table.filter(refusals::code.is_not_null()).select(KeptRefusal::as_select()).into_boxed();
    if let Some(user_id) = filter.user_id {
        query = query.filter(refusals::user_id.eq(user_id));
    }
    if let Some(code) = &filter.code {
        query = query.filter(refusals::code.eq(code));
    }
    if let Some(route) = &filter.route {
        let part = format!("%{}%", escape_like(route));
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

/// Deletes the addresses from a user's refusals, because the account is deleted.
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

/// Returns the number of kept refusals.
pub fn count(connection: &mut PgConnection) -> QueryResult<i64> {
    refusals::table.select(sql::<BigInt>("count(*)")).first(connection)
}
