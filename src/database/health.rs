//! How PostgreSQL itself stands, for who looks after it.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz};

use super::failure::DatabaseError;
use super::pool::establish;

/// What PostgreSQL says of itself.
#[derive(Clone, Debug, QueryableByName)]
pub struct Health {
    /// Its version.
    #[diesel(sql_type = Text)]
    pub version: String,
    /// Whether it takes no writes: a standby, or set so.
    #[diesel(sql_type = Bool)]
    pub is_read_only: bool,
    /// Its clock.
    #[diesel(sql_type = Timestamptz)]
    pub clock: DateTime<Utc>,
    /// Connections in use, of all databases and users.
    #[diesel(sql_type = BigInt)]
    pub connections_used: i64,
    /// Connections that it allows.
    #[diesel(sql_type = BigInt)]
    pub connections_allowed: i64,
    /// Bytes of the database.
    #[diesel(sql_type = BigInt)]
    pub size: i64,
}

/// Asks it.
///
/// # Errors
/// PostgreSQL's.
pub fn find(connection: &mut PgConnection) -> QueryResult<Health> {
    diesel::sql_query(
        "SELECT current_setting('server_version') AS version, \
         pg_is_in_recovery() OR current_setting('transaction_read_only')::bool AS is_read_only, \
         clock_timestamp() AS clock, (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') \
         AS connections_used, current_setting('max_connections')::bigint AS connections_allowed, \
         pg_database_size(current_database()) AS size",
    )
    .get_result(connection)
}

/// Channel for the asking.
const PROBE: &str = "doorward_probe";
/// How long a notification may be under way.
const PROBE_PATIENCE: Duration = Duration::from_millis(500);
const PROBE_PAUSE: Duration = Duration::from_millis(5);

/// Whether a notification reaches this connection while it is idle: behind a pooler that hands out connections by
/// transaction none does. Another connection sends it, since one's own comes with the answer to NOTIFY.
///
/// # Errors
/// When PostgreSQL fails, or the other connection cannot be had.
#[allow(clippy::disallowed_methods)] // on a thread that has nothing else to do
pub fn hears_notifications(connection: &mut PgConnection, url: &str) -> Result<bool, DatabaseError> {
    diesel::sql_query(format!("LISTEN {PROBE}")).execute(connection)?;
    let mut other = establish(url).map_err(|error| DatabaseError::Unavailable(error.to_string()))?;
    diesel::sql_query(format!("NOTIFY {PROBE}")).execute(&mut other)?;
    let begun = Instant::now();
    let mut heard = false;
    while !heard && begun.elapsed() < PROBE_PATIENCE {
        std::thread::sleep(PROBE_PAUSE);
        heard = connection.notifications_iter().next().transpose()?.is_some();
    }
    diesel::sql_query(format!("UNLISTEN {PROBE}")).execute(connection)?;
    Ok(heard)
}
