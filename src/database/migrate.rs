//! Runs the migrations, which are embedded in the binary, in one process at a time.

use std::time::{Duration, Instant};

use diesel::result::DatabaseErrorKind;
use diesel::sql_types::Bool;
use diesel::{PgConnection, QueryableByName, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::fitness::{self, Unfit};
use super::{DatabaseError, QueryError, indexes};

/// All migrations, oldest first.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The advisory lock's number: "doorward" in ASCII.
const LOCK: i64 = 0x646f_6f72_7761_7264;
/// The longest time to wait while another process migrates.
const PATIENCE: Duration = Duration::from_secs(600);
/// The pause between two attempts to get the lock.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("{0}")]
    Query(#[from] QueryError),
    /// A migration failed. Its changes were rolled back.
    #[error("a migration failed: {0}")]
    Migration(String),
    /// The database does not meet doorward's requirements. Nothing was created in it.
    #[error("{}; nothing was created there", in_one_line(.0))]
    Unfit(Vec<Unfit>),
    /// Another process has held the lock for too long.
    #[error("another process has been migrating this database for {} s", PATIENCE.as_secs())]
    Locked,
}

impl From<Box<dyn std::error::Error + Send + Sync>> for MigrateError {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        match error.downcast::<QueryError>() {
            Ok(error) => Self::Query(*error),
            Err(error) => Self::Migration(error.to_string()),
        }
    }
}

impl From<MigrateError> for DatabaseError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Query(error) => error.into(),
            // diesel passes on only PostgreSQL's message when a statement of a migration fails.
            MigrateError::Migration(words) => {
                let is_read_only = words.contains("in a read-only transaction");
                let read_only = DatabaseErrorKind::ReadOnlyTransaction;
                let kind = if is_read_only { read_only } else { DatabaseErrorKind::Unknown };
                QueryError::DatabaseError(kind, Box::new(words)).into()
            }
            MigrateError::Unfit(_) => {
                Self::Statement(QueryError::QueryBuilderError(error.to_string().into()))
            }
            MigrateError::Locked => Self::Unavailable(error.to_string()),
        }
    }
}

fn in_one_line(unfit: &[Unfit]) -> String {
    unfit.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[derive(QueryableByName)]
struct LockResult {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// Brings the schema up to date, including the indexes that a server cannot serve without. Returns the names
/// of the migrations that it ran. Takes the lock only if something is pending or missing. Behind a pooler
/// that hands out connections by transaction, the lock may otherwise stay on a connection that others use.
pub fn run(connection: &mut PgConnection) -> Result<Vec<String>, MigrateError> {
    let unfit = fitness::find_unfit(connection)?;
    if !unfit.is_empty() {
        return Err(MigrateError::Unfit(unfit));
    }
    let ran = if is_pending(connection)? { locked(connection, run_pending)? } else { Vec::new() };
    if indexes::is_any_required_missing(connection)? {
        locked(connection, |connection| Ok(indexes::make_required(connection)?))?;
    }
    Ok(ran)
}

/// The outcome of [`make_indexes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexes {
    /// Every index exists that this database can have.
    Complete,
    /// Some indexes are missing, because creating them failed or another process is creating them.
    Missing,
}

/// Creates the missing indexes. Does not wait for another process that creates them or migrates.
///
/// # Errors
/// A query fails that does not itself create an index. If an index cannot be created, the log says why.
pub fn make_indexes(connection: &mut PgConnection) -> Result<Indexes, MigrateError> {
    if !indexes::is_any_missing(connection)? {
        return Ok(Indexes::Complete);
    }
    if !ask(connection, "SELECT pg_try_advisory_lock($1) AS locked")? {
        return Ok(Indexes::Missing);
    }
    let made = indexes::make_missing(connection);
    ask(connection, "SELECT pg_advisory_unlock($1) AS locked")?;
    let made = made?;
    if made.made > 0 {
        tracing::info!(made = made.made, "created indexes");
    }
    for (index, error) in &made.failed {
        tracing::warn!(%index, %error, "an index could not be created, so lists, searches or pruning are \
                                        slow: see `doorward doctor`");
    }
    Ok(if made.failed.is_empty() { Indexes::Complete } else { Indexes::Missing })
}

fn run_pending(connection: &mut PgConnection) -> Result<Vec<String>, MigrateError> {
    super::without_timeout(connection)?;
    let ran = connection.run_pending_migrations(MIGRATIONS)?;
    Ok(ran.iter().map(ToString::to_string).collect())
}

/// Runs `work` under the lock. Tries for the lock in a loop, because waiting inside PostgreSQL would block
/// `CREATE INDEX CONCURRENTLY`.
fn locked<T>(
    connection: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T, MigrateError>,
) -> Result<T, MigrateError> {
    let started = Instant::now();
    while !ask(connection, "SELECT pg_try_advisory_lock($1) AS locked")? {
        if started.elapsed() > PATIENCE {
            return Err(MigrateError::Locked);
        }
        pause();
    }
    let done = work(connection);
    ask(connection, "SELECT pg_advisory_unlock($1) AS locked")?;
    done
}

/// Returns whether migrations are pending. Creates nothing.
pub fn is_pending(connection: &mut PgConnection) -> Result<bool, MigrateError> {
    // Check for diesel's table first. diesel would create it, and two processes that create it at once
    // conflict.
    let has_begun = "SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AND $1 > 0 AS locked";
    Ok(!ask(connection, has_begun)? || connection.has_pending_migration(MIGRATIONS)?)
}

fn ask(connection: &mut PgConnection, question: &str) -> diesel::QueryResult<bool> {
    let answer: LockResult =
        diesel::sql_query(question).bind::<diesel::sql_types::BigInt, _>(LOCK).get_result(connection)?;
    Ok(answer.locked)
}

#[allow(clippy::disallowed_methods)] // runs before the server does, on a separate thread
fn pause() {
    std::thread::sleep(PAUSE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unavailable_postgresql_is_not_a_migration_error() {
        let failed = |why: &str| {
            let words = format!("Failed to run 2026-11-23-100000_create_users with: {why}");
            DatabaseError::from(MigrateError::Migration(words))
        };
        for why in [
            "canceling statement due to lock timeout",
            "cannot execute CREATE TABLE in a read-only transaction",
            "server closed the connection unexpectedly",
        ] {
            assert!(matches!(failed(why), DatabaseError::Unavailable(_)), "{why}");
        }
        let ours = failed("syntax error at or near \"TABEL\"");
        assert!(matches!(&ours, DatabaseError::Statement(_)), "{ours}");
        assert!(ours.to_string().contains("create_users"), "{ours}");
        let kept: Box<dyn std::error::Error + Send + Sync> = QueryError::BrokenTransactionManager.into();
        assert!(matches!(MigrateError::from(kept), MigrateError::Query(_)));
    }
}
