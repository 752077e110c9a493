//! Migrations, embedded in the binary and run by one process at a time.

use std::time::{Duration, Instant};

use diesel::sql_types::Bool;
use diesel::{PgConnection, QueryableByName, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

/// All of them, oldest first.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// The advisory lock's number: "doorward" in ASCII.
const LOCK: i64 = 0x646f_6f72_7761_7264;
/// How long another process may take over its migrations.
const PATIENCE: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(100);

/// Why the schema is not as this binary wants it.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// PostgreSQL failed.
    #[error("{0}")]
    Query(#[from] diesel::result::Error),
    /// A migration failed; what it had done is rolled back.
    #[error("a migration failed: {0}")]
    Migration(String),
    /// Somebody else has held the lock for too long.
    #[error("another process has been migrating this database for {} s", PATIENCE.as_secs())]
    Locked,
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// Brings the schema up to date; gives the names of the migrations that it ran. The lock is tried in a loop: one
/// that waits inside PostgreSQL would hold up `CREATE INDEX CONCURRENTLY`. Where nothing is pending it is not taken:
/// behind a pooler that hands out connections by transaction it may stay with a connection that others use.
///
/// # Errors
/// See [`MigrateError`].
pub fn run(connection: &mut PgConnection) -> Result<Vec<String>, MigrateError> {
    // Asked first: to look for what is pending makes this table, and two that make it at once disturb each other.
    let has_begun = "SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AND $1 > 0 AS locked";
    if ask(connection, has_begun)? && !is_pending(connection)? {
        return Ok(Vec::new());
    }
    let begun = Instant::now();
    while !ask(connection, "SELECT pg_try_advisory_lock($1) AS locked")? {
        if begun.elapsed() > PATIENCE {
            return Err(MigrateError::Locked);
        }
        pause();
    }
    super::without_timeout(connection)?;
    let ran = connection
        .run_pending_migrations(MIGRATIONS)
        .map(|versions| versions.iter().map(ToString::to_string).collect())
        .map_err(|error| MigrateError::Migration(error.to_string()));
    ask(connection, "SELECT pg_advisory_unlock($1) AS locked")?;
    ran
}

/// Whether migrations are pending.
///
/// # Errors
/// See [`MigrateError`].
pub fn is_pending(connection: &mut PgConnection) -> Result<bool, MigrateError> {
    connection.has_pending_migration(MIGRATIONS).map_err(|error| MigrateError::Migration(error.to_string()))
}

fn ask(connection: &mut PgConnection, question: &str) -> diesel::QueryResult<bool> {
    let answer: Locked =
        diesel::sql_query(question).bind::<diesel::sql_types::BigInt, _>(LOCK).get_result(connection)?;
    Ok(answer.locked)
}

#[allow(clippy::disallowed_methods)] // runs before the server does, on a thread of its own
fn pause() {
    std::thread::sleep(PAUSE);
}
