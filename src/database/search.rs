//! Reads that may be expensive, such as a search: they have a timeout of their own, shorter than other statements'.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::result::DatabaseErrorKind;
use diesel::{PgConnection, QueryResult, RunQueryDsl};

use super::{Database, DatabaseError, QueryError};
use crate::blocking::Lane;

/// The time that each statement of an expensive read may run.
pub const SEARCH_TIMEOUT: Duration = Duration::from_millis(1_500);

impl Database {
    /// Runs an expensive read in a read-only transaction. PostgreSQL cancels each of its statements after
    /// [`SEARCH_TIMEOUT`]. Of each caller one runs at a time, and of all of them as many as a quarter of the connections.
    ///
    /// # Errors
    /// [`DatabaseError::TooExpensive`] when a statement ran into the timeout; otherwise see [`DatabaseError`].
    pub async fn search<T, F>(&self, work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    {
        let is_started = Arc::new(AtomicBool::new(false));
        let found = self.run_in(Lane::Expensive, Some(Arc::clone(&is_started)), move |connection| {
            run_limited(connection, SEARCH_TIMEOUT, work)
        });
        match found.await {
            Ok(found) => found.ok_or(DatabaseError::TooExpensive),
            // Other searches were before it all the time.
            Err(DatabaseError::Unavailable(_)) if !is_started.load(Ordering::Relaxed) => {
                Err(DatabaseError::Overloaded)
            }
            Err(error) => Err(error),
        }
    }
}

/// Runs `work` with this timeout for each statement. Returns `None` if PostgreSQL canceled one for it.
fn run_limited<T>(
    connection: &mut PgConnection,
    timeout: Duration,
    work: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<Option<T>> {
    let set = format!("SET LOCAL statement_timeout = {}", timeout.as_millis());
    let mut started_at = Instant::now();
    let found = connection.build_transaction().read_only().run(|connection| {
        diesel::sql_query(set).execute(connection)?;
        started_at = Instant::now();
        work(connection)
    });
    match found {
        Err(error) if started_at.elapsed() >= timeout && is_canceled(connection, &error) => Ok(None),
        found => found.map(Some),
    }
}

/// Returns whether the statement alone failed. PostgreSQL's words for a timeout depend on its language, and diesel hands
/// on no SQLSTATE, so the connection is asked whether it still works.
fn is_canceled(connection: &mut PgConnection, error: &QueryError) -> bool {
    matches!(error, QueryError::DatabaseError(DatabaseErrorKind::Unknown, _))
        && diesel::sql_query("SELECT").execute(connection).is_ok()
}
