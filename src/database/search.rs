//! Runs reads that may be expensive, such as searches, with a shorter timeout than other statements have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::result::DatabaseErrorKind;
use diesel::{PgConnection, QueryResult, RunQueryDsl};

use super::{Database, DatabaseError, QueryError};
use crate::blocking::Lane;

/// The timeout of each statement of an expensive read.
pub const SEARCH_TIMEOUT: Duration = Duration::from_millis(1_500);

impl Database {
    /// Runs an expensive read in a read-only transaction. PostgreSQL cancels each of its statements after
    /// [`SEARCH_TIMEOUT`]. Each caller may run one at a time, and all callers together may use a quarter of
    /// the connections.
    ///
    /// # Errors
    /// Returns [`DatabaseError::TooExpensive`] if a statement exceeded the timeout. Otherwise see
    /// [`DatabaseError`].
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
            // It never started, because other searches used all of their connections.
            Err(DatabaseError::Unavailable(_)) if !is_started.load(Ordering::Relaxed) => {
                Err(DatabaseError::Overloaded)
            }
            Err(error) => Err(error),
        }
    }
}

/// Runs `work` with this timeout for each statement. Returns `None` if PostgreSQL canceled a statement
/// because of it.
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

/// Returns whether only the statement failed. PostgreSQL's words for a timeout depend on its language, and
/// diesel passes on no SQLSTATE. So this checks whether the connection still works.
fn is_canceled(connection: &mut PgConnection, error: &QueryError) -> bool {
    matches!(error, QueryError::DatabaseError(DatabaseErrorKind::Unknown, _))
        && diesel::sql_query("SELECT").execute(connection).is_ok()
}
