//! PostgreSQL: the one pool, on threads of its own, and what its failures mean.

pub mod feed;
pub mod health;
pub mod instance;
pub mod migrate;
mod pool;
pub mod private_postgres;
pub mod prune;
#[allow(missing_docs)] // generated
pub mod schema;

use std::cell::Cell;
use std::time::{Duration, Instant};

use diesel::result::DatabaseErrorKind;
use diesel::sql_types::BigInt;
use diesel::{Connection as _, PgConnection, QueryResult, QueryableByName, RunQueryDsl};

use self::feed::Feed;
use crate::blocking::batch::{Asked, Batch};
use crate::blocking::{BlockingError, BlockingPool};

pub use diesel::PgConnection as Connection;
pub use diesel::result::Error as QueryError;

diesel::define_sql_function! {
    /// PostgreSQL's clock: the start of the transaction.
    fn now() -> Timestamptz;
}

/// How long a request waits for all of its database work, queueing included; and how long any other call does.
const DEADLINE: Duration = Duration::from_secs(4);
/// How long a call waits at least that comes late in its request, where the database was not what it waited for.
const LEAST: Duration = Duration::from_secs(1);
/// How long r2d2 tries for a connection before it calls PostgreSQL away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Calls that may wait for each connection before further ones are refused.
const QUEUE_PER_CONNECTION: usize = 32;
/// How often a transaction that PostgreSQL broke up (a deadlock) is begun again.
const ATTEMPTS: usize = 4;

tokio::task_local! {
    /// What the request that is served here has waited for so far.
    static WAITED: Cell<Waited>;
}

#[derive(Clone, Copy, Default)]
struct Waited {
    /// When it first asked the database.
    since: Option<Instant>,
    /// For the database alone.
    time: Duration,
}

impl Waited {
    /// What it did in between (a hash takes its time) counts too, but for the least that a call needs.
    fn patience(&self) -> Duration {
        let left = DEADLINE.saturating_sub(self.since.map_or(Duration::ZERO, |since| since.elapsed()));
        left.max(LEAST.min(DEADLINE.saturating_sub(self.time)))
    }
}

/// Serves a request: all that it asks of the database one after the other may take as long as one call of others.
pub async fn within_one_deadline<T>(request: impl Future<Output = T>) -> T {
    WAITED.scope(Cell::default(), request).await
}

/// How long the next call here waits for the database.
#[must_use]
pub fn patience() -> Duration {
    WAITED.try_with(|waited| waited.get().patience()).unwrap_or(DEADLINE)
}

/// Notes that a call of this request waited since then.
fn note_waited(since: Instant) {
    let _ = WAITED.try_with(|waited| {
        let Waited { since: first, time } = waited.get();
        waited.set(Waited { since: first.or(Some(since)), time: time + since.elapsed() });
    });
}

/// The database: a pool of connections, and as many threads that use them. Clones share both.
#[derive(Clone)]
pub struct Database {
    connections: r2d2::Pool<pool::Manager>,
    threads: BlockingPool,
    feed: Feed,
}

/// Why the database gave no answer. None of these says anything about the caller's credentials.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// More calls wait than may.
    #[error("too many calls wait for the database")]
    Overloaded,
    /// It cannot be reached, does not answer in time, or cannot write.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A statement failed: a fault of ours.
    #[error("a statement failed: {0}")]
    Statement(QueryError),
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
        let threads = connections as usize;
        Self {
            connections: pool,
            threads: BlockingPool::new("database", threads, threads * QUEUE_PER_CONNECTION),
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
        let connections = self.connections.clone();
        let work = move || {
            feed::take_announced();
            let answer = with_connection(&connections, work);
            (answer, feed::take_announced())
        };
        let (answer, announced) = within_patience(|patience| self.threads.run(patience, work)).await?;
        if announced {
            self.feed.catch_up().await;
        }
        answer
    }

    /// Calls of one kind that one statement answers together, so that many cost little more than one: `work` answers
    /// each, in their order. A quarter of the connections are at it at a time at most, or two where that is less.
    #[must_use]
    pub fn together<A, T, F>(&self, work: F) -> Together<A, T>
    where
        A: Asked,
        T: Send + 'static,
        F: Fn(&mut PgConnection, &[A]) -> QueryResult<Vec<Option<T>>> + Send + Sync + 'static,
    {
        let connections = self.connections.clone();
        let calls = (connections.max_size() as usize / 4).max(2);
        let answer_all = move |asked: &[A]| {
            feed::take_announced();
            let answers = with_connection(&connections, |connection| work(connection, asked));
            let announced = feed::take_announced();
            let each: Vec<Result<Option<T>, String>> = match answers {
                Ok(answers) => answers.into_iter().map(Ok).collect(),
                Err(DatabaseError::Unavailable(why)) if !is_broken_off(&why) => {
                    asked.iter().map(|_| Err(why.clone())).collect()
                }
                // Whose fault it is, or whose locks, shows when each is asked for alone.
                Err(_) => asked.iter().map(|_| Ok(None)).collect(),
            };
            each.into_iter().map(|answer| (answer, announced)).collect()
        };
        Together { batch: Batch::new(&self.threads, calls, answer_all), feed: self.feed.clone() }
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

/// See [`Database::together`].
pub struct Together<A, T> {
    batch: Batch<A, (Result<Option<T>, String>, bool)>,
    feed: Feed,
}

impl<A: Asked, T: Send + 'static> Together<A, T> {
    /// The answer to this one; `None`: it is to be asked for alone. What the others with it announced on the feed is in
    /// force here too when this ends.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn run(&self, asked: A) -> Result<Option<T>, DatabaseError> {
        let (answer, announced) = within_patience(|patience| self.batch.run(patience, asked)).await?;
        if announced {
            self.feed.catch_up().await;
        }
        answer.map_err(DatabaseError::Unavailable)
    }
}

/// Waits for a call as long as its request still may.
async fn within_patience<T, W>(call: impl FnOnce(Duration) -> W) -> Result<T, DatabaseError>
where
    W: Future<Output = Result<T, BlockingError>>,
{
    let (begun, patience) = (Instant::now(), patience());
    if patience.is_zero() {
        return Err(BlockingError::DeadlinePassed("database").into());
    }
    let done = call(patience).await;
    note_waited(begun);
    Ok(done?)
}

impl From<BlockingError> for DatabaseError {
    fn from(error: BlockingError) -> Self {
        match error {
            BlockingError::QueueFull(_) => Self::Overloaded,
            BlockingError::DeadlinePassed(_) => Self::Unavailable("no answer in time".into()),
            BlockingError::Panicked(_) => {
                Self::Statement(QueryError::QueryBuilderError("the work panicked".into()))
            }
        }
    }
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

impl From<QueryError> for DatabaseError {
    fn from(error: QueryError) -> Self {
        match &error {
            QueryError::DatabaseError(kind, info) if is_unavailability(kind, info.message()) => {
                Self::Unavailable(info.message().to_owned())
            }
            QueryError::BrokenTransactionManager => Self::Unavailable(error.to_string()),
            _ => Self::Statement(error),
        }
    }
}

/// What PostgreSQL says where it gives a statement up for others' locks, or for its time.
const BROKEN_OFF: [&str; 2] = ["canceling statement due to", "deadlock detected"];

fn is_broken_off(message: &str) -> bool {
    BROKEN_OFF.iter().any(|words| message.contains(words))
}

/// diesel hands on no SQLSTATE, so what it has no kind for is told by PostgreSQL's words.
fn is_unavailability(kind: &DatabaseErrorKind, message: &str) -> bool {
    const WORDS: [&str; 11] = [
        "terminating connection",
        "server closed the connection",
        "connection to server",
        "could not connect",
        "no connection to the server",
        "could not receive data",
        "could not send data",
        "the database system is",
        "No space left on device",
        "could not extend file",
        "remaining connection slots",
    ];
    matches!(
        kind,
        DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ReadOnlyTransaction
            | DatabaseErrorKind::SerializationFailure
    ) || is_broken_off(message)
        || WORDS.iter().any(|words| message.contains(words))
}

fn is_worth_another_try(error: &QueryError) -> bool {
    match error {
        QueryError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        QueryError::DatabaseError(_, info) => info.message().contains("deadlock detected"),
        _ => false,
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
    fn what_others_do_in_postgresql_is_no_fault_of_the_statement() {
        let error = |kind, words: &str| QueryError::DatabaseError(kind, Box::new(words.to_owned())).into();
        for error in [
            error(DatabaseErrorKind::Unknown, "deadlock detected"),
            error(DatabaseErrorKind::SerializationFailure, "could not serialize access"),
            error(DatabaseErrorKind::Unknown, "canceling statement due to lock timeout"),
        ] {
            assert!(matches!(error, DatabaseError::Unavailable(_)), "{error}");
        }
        let ours = error(DatabaseErrorKind::Unknown, "division by zero");
        assert!(matches!(ours, DatabaseError::Statement(_)), "{ours}");
    }

    #[actix_web::test]
    async fn a_request_has_one_deadline_and_a_call_after_a_long_hash_some_time() {
        let long_ago = Instant::now().checked_sub(2 * DEADLINE);
        assert_eq!(patience(), DEADLINE);
        within_one_deadline(async {
            note_waited(Instant::now());
            assert!(patience() <= DEADLINE && patience() > LEAST);
            WAITED.with(|waited| waited.set(Waited { since: long_ago, time: Duration::ZERO }));
            assert_eq!(patience(), LEAST, "it hashed");
            WAITED.with(|waited| waited.set(Waited { since: long_ago, time: DEADLINE }));
            assert_eq!(patience(), Duration::ZERO, "it waited for the database");
        })
        .await;
    }
}
