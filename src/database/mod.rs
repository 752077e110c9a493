//! PostgreSQL: the one pool, on threads of its own, and what its failures mean.

pub mod database_clock;
mod failure;
pub mod feed;
pub mod fitness;
pub mod folded_text;
pub mod health;
pub mod hopeless;
pub mod indexes;
pub mod instance;
pub mod migrate;
pub mod nodes;
mod pool;
pub mod private_postgres;
pub mod prune;
#[allow(missing_docs)] // generated
pub mod schema;
mod search;
mod together;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::BigInt;
use diesel::{Connection as _, PgConnection, QueryResult, QueryableByName, RunQueryDsl};

use self::failure::is_worth_another_try;
use self::feed::Feed;
use self::waiting::within_patience;
use crate::blocking::{BlockingError, BlockingPool, Lane, LaneLimits, Limits, caller};

pub use self::failure::{DatabaseError, QueryError, describe};
pub use self::search::SEARCH_TIMEOUT;
pub use self::together::Together;
pub use self::waiting::{patience, within_one_deadline};
pub use diesel::PgConnection as Connection;
pub use diesel::QueryResult as Queried;

diesel::define_sql_function! {
    /// PostgreSQL's clock: the start of the transaction.
    fn now() -> Timestamptz;
}

/// How long r2d2 tries for a connection before it calls PostgreSQL away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Calls that may wait for each connection before further ones are refused.
const QUEUE_PER_CONNECTION: usize = 32;
/// Calls that may wait in all. Each operation of the queue looks at all of them under one lock.
const QUEUE_MAX: usize = 1_024;
/// How often a transaction that PostgreSQL broke up (a deadlock) is begun again.
const ATTEMPTS: usize = 4;

/// The database: a pool of connections, and as many threads that use them. Clones share both.
#[derive(Clone)]
pub struct Database {
    connections: r2d2::Pool<pool::Manager>,
    threads: BlockingPool,
    feed: Feed,
}

impl Database {
    /// A pool of at most `connections` to the database at `url`. Opens none yet: the server may start before
    /// PostgreSQL does.
    #[must_use]
    pub fn new(url: &str, connections: u32) -> Self {
        let pool = r2d2::Pool::builder()
            .max_size(connections)
            .min_idle(Some(connections.min(2)))
            .connection_timeout(CONNECT_TIMEOUT)
            .test_on_check_out(true)
            .error_handler(Box::new(Log))
            .build_unchecked(pool::Manager::new(url.to_owned()));
        Self {
            connections: pool,
            threads: BlockingPool::new("database", limits(connections as usize)),
            feed: Feed::default(),
        }
    }

    /// Runs `work` with a connection, each statement committing by itself. What it announced on the feed is in force here
    /// when this ends.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn run<T, F>(&self, work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    {
        self.run_in(Lane::Ordinary, None, work).await
    }

    /// Runs `work` in this lane. Sets `is_started` once it has a thread.
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

    /// Runs `work` in one transaction; `Err` rolls back, so what must persist is an `Ok`. Begins again when
    /// PostgreSQL broke the transaction up because of others.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn transaction<T, F>(&self, mut work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnMut(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    {
        self.run(move |connection| transaction(connection, &mut work)).await
    }

    /// A connection outside the pool, for the command line.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`].
    pub fn connect(url: &str) -> Result<PgConnection, DatabaseError> {
        pool::establish(url).map_err(|error| DatabaseError::Unavailable(error.to_string()))
    }

    /// The feed of what was ended.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The threads' pool, for metrics.
    #[must_use]
    pub fn threads(&self) -> &BlockingPool {
        &self.threads
    }

    /// Connections open now, and how many of them are idle.
    #[must_use]
    pub fn connections(&self) -> (u32, u32) {
        let state = self.connections.state();
        (state.connections, state.idle_connections)
    }
}

/// Shares the connections: one caller leaves a quarter of them to the others, and all expensive reads together three
/// quarters.
fn limits(connections: usize) -> Limits {
    let quarter = (connections / 4).max(1);
    let waiting = (connections * QUEUE_PER_CONNECTION).min(QUEUE_MAX);
    let running_per_party = (connections - quarter).max(1);
    let ordinary = LaneLimits { running: connections, running_per_party, waiting };
    let expensive = LaneLimits { running: quarter, running_per_party: 1, waiting: waiting / 4 };
    Limits::new(connections, waiting)
        .with_lane(Lane::Ordinary, ordinary)
        .with_lane(Lane::Expensive, expensive)
}

/// Runs `work` in a transaction on a connection of the caller's, as [`Database::transaction`] does.
///
/// # Errors
/// `work`'s own, or PostgreSQL's.
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

/// Waits for work as long as its request still may, and until what it announced is in force here.
async fn wait_for<T, W>(feed: &Feed, work: impl FnOnce(Duration) -> W) -> Result<T, DatabaseError>
where
    W: Future<Output = Result<(T, bool), BlockingError>>,
{
    let (answer, announced) = within_patience(work).await?;
    if announced {
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
            pooled.trust();
            Ok(answer)
        }
        Err(error) => {
            let error = DatabaseError::from(error);
            if matches!(error, DatabaseError::Unavailable(_)) {
                pooled.doubt();
            }
            Err(error)
        }
    }
}

/// r2d2's own failures, told once in our log.
#[derive(Debug)]
struct Log;

impl<E: std::error::Error> r2d2::HandleError<E> for Log {
    fn handle_error(&self, error: E) {
        tracing::warn!(%error, "a connection to PostgreSQL could not be made or failed its test");
    }
}

/// Lets statements on this connection take as long as they need: nobody waits for an answer but whoever runs a command.
///
/// # Errors
/// PostgreSQL's.
pub fn without_timeout(connection: &mut PgConnection) -> QueryResult<()> {
    diesel::sql_query("SET statement_timeout = 0").execute(connection).map(|_| ())
}

/// Returns the database's time.
///
/// # Errors
/// PostgreSQL's.
pub fn find_time(connection: &mut PgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(now()).get_result(connection)
}

/// Waits for an advisory lock, and holds it until the transaction ends.
///
/// # Errors
/// PostgreSQL's, where others hold it for too long.
pub fn lock_until_the_end(connection: &mut PgConnection, lock: i64) -> QueryResult<()> {
    let taken = diesel::sql_query("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(lock);
    taken.execute(connection).map(|_| ())
}

/// Escapes what `LIKE` would take for a wildcard.
#[must_use]
pub fn escape_like(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many others are connected to this database.
///
/// # Errors
/// PostgreSQL's.
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
    fn queue_grows_with_the_connections_up_to_a_bound() {
        for (connections, waiting) in [(2, 64), (8, 256), (32, QUEUE_MAX), (1_000, QUEUE_MAX)] {
            assert_eq!(limits(connections).waiting(), waiting, "{connections}");
        }
    }
}
