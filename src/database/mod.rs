//! PostgreSQL: the connection pool with its threads, and the classification of failures.

mod batched;
pub(crate) mod connection_advice;
pub(crate) mod database_clock;
mod deadline;
mod failure;
pub mod feed;
pub(crate) mod fitness;
pub(crate) mod folded_text;
pub(crate) mod health;
pub mod indexes;
pub(crate) mod instance;
pub mod migrate;
pub(crate) mod named;
pub mod nodes;
pub mod object_names;
mod pool;
pub mod private_postgres;
pub mod prune;
#[allow(missing_docs)] // generated
pub(crate) mod schema;
mod search;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::BigInt;
use diesel::{Connection as _, PgConnection, QueryResult, QueryableByName, RunQueryDsl};

use self::deadline::within_time_left;
use self::failure::is_worth_another_try;
use self::feed::Feed;
use crate::blocking::{BlockingError, BlockingPool, Lane, LaneLimits, QueueLimits, caller};

pub use self::batched::Batched;
pub use self::deadline::{time_left, within, within_one_deadline};
pub use self::failure::{DatabaseError, QueryError, describe};
pub use self::search::SEARCH_TIMEOUT;
pub use diesel::PgConnection as Connection;
pub use diesel::QueryResult as Queried;

diesel::define_sql_function! {
    /// PostgreSQL's clock at the start of the transaction.
    fn now() -> Timestamptz;
}

/// The longest time that r2d2 tries to get a connection before PostgreSQL counts as unavailable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The number of calls per connection that may wait. Further calls are refused.
const QUEUE_PER_CONNECTION: usize = 32;
/// The limit of waiting calls in total. Each queue operation scans all of them under one lock.
const QUEUE_MAX: usize = 1_024;
/// The number of times that a transaction is tried when PostgreSQL aborts it, for example because of a
/// deadlock.
const ATTEMPTS: usize = 4;

/// The database: a pool of connections with one thread for each. Clones share both.
#[derive(Clone)]
pub struct Database {
    connections: r2d2::Pool<pool::Manager>,
    threads: BlockingPool,
    feed: Feed,
}

impl Database {
    /// Creates a pool of at most `connections` connections to the database at `url`. Opens none yet, so that
    /// the server can start before PostgreSQL.
    #[must_use]
    pub fn new(url: &str, connections: u32) -> Self {
        let pool = r2d2::Pool::builder()
            .max_size(connections)
            .min_idle(Some(connections.min(2)))
            .connection_timeout(CONNECT_TIMEOUT)
            .test_on_check_out(true)
            .error_handler(Box::new(PoolErrorLog))
            .build_unchecked(pool::Manager::new(url.to_owned()));
        Self {
            connections: pool,
            threads: BlockingPool::new("database", limits(connections as usize)),
            feed: Feed::default(),
        }
    }

    /// Runs `work` with a connection. Each statement commits separately. If `work` published feed events,
    /// they apply on this node when this returns.
    pub async fn run<T, F>(&self, work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    {
        self.run_in(Lane::Ordinary, None, work).await
    }

    /// Runs `work` in this lane. Sets `is_started` once a thread runs it.
    async fn run_in<T, F>(
        &self,
        lane: Lane,
        is_started: Option<Arc<AtomicBool>>,
        work: F,
    ) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    {
        let connections = self.connections.clone();
        let work = move || {
            if let Some(is_started) = is_started {
                is_started.store(true, Ordering::Relaxed);
            }
            feed::listen(|| with_connection(&connections, work))
        };
        let claim = caller::current().claim(lane);
        wait_for(&self.feed, |patience| self.threads.run(patience, claim, work)).await?
    }

    /// Runs `work` in a transaction. An `Err` rolls it back, so anything that must persist needs an `Ok`.
    /// Retries if PostgreSQL aborted the transaction because of others.
    pub async fn transaction<T, F>(&self, mut work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnMut(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    {
        self.run(move |connection| transaction(connection, &mut work)).await
    }

    /// Opens a connection outside the pool, for the command line.
    ///
    /// # Errors
    /// Returns [`DatabaseError::Unavailable`] if PostgreSQL cannot be reached or refuses.
    pub fn connect(url: &str) -> Result<PgConnection, DatabaseError> {
        pool::establish(url).map_err(|error| DatabaseError::Unavailable(error.to_string()))
    }

    /// Returns the revocation feed.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Returns the pool of threads, for metrics.
    #[must_use]
    pub fn threads(&self) -> &BlockingPool {
        &self.threads
    }

    /// Returns the number of open connections, and how many of them are idle.
    #[must_use]
    pub fn connections(&self) -> (u32, u32) {
        let state = self.connections.state();
        (state.connections, state.idle_connections)
    }
}

/// Limits how callers share the connections. One caller leaves a quarter of them to others, and all expensive
/// reads together leave three quarters.
fn limits(connections: usize) -> QueueLimits {
    let quarter = (connections / 4).max(1);
    let waiting = (connections * QUEUE_PER_CONNECTION).min(QUEUE_MAX);
    let running_per_party = (connections - quarter).max(1);
    let ordinary = LaneLimits { running: connections, running_per_party, waiting };
    let expensive = LaneLimits { running: quarter, running_per_party: 1, waiting: waiting / 4 };
    QueueLimits::new(connections, waiting)
        .with_lane(Lane::Ordinary, ordinary)
        .with_lane(Lane::Expensive, expensive)
}

/// Runs `work` in a transaction on the caller's connection, as [`Database::transaction`] does.
pub fn transaction<T>(
    connection: &mut PgConnection,
    mut work: impl FnMut(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<T> {
    let mut attempt = 1;
    loop {
        match connection.transaction(&mut work) {
            Err(error) if attempt < ATTEMPTS && is_worth_another_try(&error) => attempt += 1,
            answer => return answer,
        }
    }
}

/// Waits for `work` within the request's remaining database time. If it published feed events, also waits
/// until they apply on this node.
async fn wait_for<T, W>(feed: &Feed, work: impl FnOnce(Duration) -> W) -> Result<T, DatabaseError>
where
    W: Future<Output = Result<(T, bool), BlockingError>>,
{
    let (answer, published) = within_time_left(work).await?;
    if published {
        feed.catch_up().await;
    }
    Ok(answer)
}

fn with_connection<T>(
    connections: &r2d2::Pool<pool::Manager>,
    work: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> Result<T, DatabaseError> {
    let mut pooled = connections.get().map_err(|error| DatabaseError::Unavailable(error.to_string()))?;
    match work(&mut pooled.connection) {
        Ok(answer) => {
            pooled.record_success();
            Ok(answer)
        }
        Err(error) => {
            let error = DatabaseError::from(error);
            if matches!(error, DatabaseError::Unavailable(_)) {
                pooled.record_failure();
            }
            Err(error)
        }
    }
}

/// Logs r2d2's own failures.
#[derive(Debug)]
struct PoolErrorLog;

impl<E: std::error::Error> r2d2::HandleError<E> for PoolErrorLog {
    fn handle_error(&self, error: E) {
        tracing::warn!(%error, "a connection to PostgreSQL could not be opened, or failed its test");
    }
}

/// Removes the statement timeout from this connection, for commands and migrations that may take long.
pub fn without_timeout(connection: &mut PgConnection) -> QueryResult<()> {
    diesel::sql_query("SET statement_timeout = 0").execute(connection).map(|_| ())
}

/// Returns the database's time.
pub fn find_time(connection: &mut PgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(now()).get_result(connection)
}

/// Takes an advisory lock and holds it until the transaction ends.
///
/// # Errors
/// Others hold the lock longer than `lock_timeout`, or the query fails.
pub fn lock_until_the_end(connection: &mut PgConnection, lock: i64) -> QueryResult<()> {
    let taken = diesel::sql_query("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(lock);
    taken.execute(connection).map(|_| ())
}

/// Escapes the wildcards of `LIKE`.
#[must_use]
pub fn escape_like(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Returns the number of other clients connected to this database.
pub fn count_other_clients(connection: &mut PgConnection) -> QueryResult<i64> {
    let others: Count = diesel::sql_query(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    )
    .get_result(connection)?;
    Ok(others.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_grows_with_the_connections_up_to_a_limit() {
        for (connections, waiting) in [(2, 64), (8, 256), (32, QUEUE_MAX), (1_000, QUEUE_MAX)] {
            assert_eq!(limits(connections).waiting(), waiting, "{connections}");
        }
    }
}
