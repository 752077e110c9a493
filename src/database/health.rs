//! Facts about PostgreSQL for operators: version, clock, connections, size, and whether notifications arrive.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz};

use super::failure::DatabaseError;
use super::pool::establish;

/// The facts that PostgreSQL reports about itself.
#[derive(Clone, Debug, QueryableByName)]
pub(crate) struct Health {
    #[diesel(sql_type = Text)]
    pub version: String,
    /// True if PostgreSQL takes no writes, because it is a standby or is set to read-only.
    #[diesel(sql_type = Bool)]
    pub is_read_only: bool,
    #[diesel(sql_type = Timestamptz)]
    pub clock: DateTime<Utc>,
    /// The number of client connections in use, across all databases and users.
    #[diesel(sql_type = BigInt)]
    pub connections_used: i64,
    /// The value of `max_connections`.
    #[diesel(sql_type = BigInt)]
    pub connections_allowed: i64,
    /// The database's size in bytes.
    #[diesel(sql_type = BigInt)]
    pub size: i64,
}

pub(crate) fn find(connection: &mut PgConnection) -> QueryResult<Health> {
    diesel::sql_query(
        "SELECT current_setting('server_version') AS version, \
         pg_is_in_recovery() OR current_setting('transaction_read_only')::bool AS is_read_only, \
         clock_timestamp() AS clock, (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') \
         AS connections_used, current_setting('max_connections')::bigint AS connections_allowed, \
         pg_database_size(current_database()) AS size",
    )
    .get_result(connection)
}

/// The channel that notifications are tested on.
const PROBE: &str = "doorward_probe";
/// The longest time to wait for the test notification.
const PROBE_PATIENCE: Duration = Duration::from_millis(500);
/// The pause between two checks for the test notification.
const PROBE_PAUSE: Duration = Duration::from_millis(5);

/// Returns whether a notification reaches this connection while it is idle. None does behind a pooler that
/// hands out connections by transaction. A second connection sends the notification, because a connection
/// receives its own together with the answer to NOTIFY.
///
/// # Errors
/// A query fails, or the second connection cannot be opened.
#[allow(clippy::disallowed_methods)] // this thread does nothing else
pub(crate) fn hears_notifications(connection: &mut PgConnection, url: &str) -> Result<bool, DatabaseError> {
    diesel::sql_query(format!("LISTEN {PROBE}")).execute(connection)?;
    let mut other = establish(url).map_err(|error| DatabaseError::Unavailable(error.to_string()))?;
    diesel::sql_query(format!("NOTIFY {PROBE}")).execute(&mut other)?;
    let started = Instant::now();
    let mut heard = false;
    while !heard && started.elapsed() < PROBE_PATIENCE {
        std::thread::sleep(PROBE_PAUSE);
        heard = connection.notifications_iter().next().transpose()?.is_some();
    }
    diesel::sql_query(format!("UNLISTEN {PROBE}")).execute(connection)?;
    Ok(heard)
}
