//! Connections to PostgreSQL, pooled by r2d2. A connection is tested before use only if it was idle for more
//! than a second, or if any connection failed since its last test. So a request normally costs only its own
//! statements and no additional round trip.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, QueryResult, RunQueryDsl};

use super::failure::DatabaseError;

/// A connection that was unused for longer than this is tested before use.
const IDLE_BEFORE_TEST: Duration = Duration::from_secs(1);

/// The settings of every connection. They end work on PostgreSQL's side. If PostgreSQL does not answer at
/// all, the deadline of the blocking pool applies instead.
const SETTINGS: &str = "SET timezone = 'UTC'; SET statement_timeout = '4s'; SET lock_timeout = '3s'; \
                        SET idle_in_transaction_session_timeout = '10s'";

/// Opens and checks connections for r2d2.
#[derive(Debug)]
pub(super) struct Manager {
    url: String,
    /// Counts failures of connections. After a failure, each connection must be tested before its next use.
    failures: Arc<AtomicU64>,
}

/// A connection, and when it last worked.
pub(super) struct Pooled {
    pub(super) connection: PgConnection,
    tested_at: Instant,
    /// The number of failures before the last test.
    failures_at_test: u64,
    failed: bool,
    failures: Arc<AtomicU64>,
}

impl Pooled {
    /// Records that the connection failed. It is discarded, and the other connections are tested before their
    /// next use.
    pub(super) fn record_failure(&mut self) {
        self.failed = true;
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    fn needs_test(&self) -> bool {
        self.failures_at_test != self.failures.load(Ordering::Relaxed)
            || self.tested_at.elapsed() > IDLE_BEFORE_TEST
    }

    /// Records that the connection just worked.
    pub(super) fn record_success(&mut self) {
        self.tested_at = Instant::now();
    }
}

impl Manager {
    pub(super) fn new(url: String) -> Self {
        Self { url, failures: Arc::default() }
    }
}

/// libpq parameters that detect a failed network or host. Connecting takes at most two seconds. A TCP
/// connection breaks if sent data is not acknowledged within two seconds. By default a thread would wait for
/// a quarter of an hour.
const WATCHED: [(&str, &str); 5] = [
    ("connect_timeout", "2"),
    ("tcp_user_timeout", "2000"),
    ("keepalives_idle", "2"),
    ("keepalives_interval", "1"),
    ("keepalives_count", "2"),
];

/// Returns the URL with these parameters first. libpq takes the last of duplicate parameters, so the URL's
/// own values win.
fn watched(url: &str) -> String {
    let (address, own) = split_query(url);
    let first = WATCHED.map(|(name, value)| format!("{name}={value}")).join("&");
    with_query(address, [&first, own])
}

/// Returns the URL with this application name last, so that it overrides the URL's own.
fn named(url: &str, name: &str) -> String {
    let (address, own) = split_query(url);
    with_query(address, [own, &format!("application_name={name}")])
}

/// Splits a URL at its query, where libpq does. The user and the password may contain a `?`, so the search
/// starts after the last `@`. The config module ensures that an `@` ends them.
fn split_query(url: &str) -> (&str, &str) {
    let host = url.rfind('@').map_or(0, |at| at + 1);
    url[host..].find('?').map_or((url, ""), |at| (&url[..host + at], &url[host + at + 1..]))
}

fn with_query(address: &str, parts: [&str; 2]) -> String {
    let [first, last] = parts;
    let between = if first.is_empty() || last.is_empty() { "" } else { "&" };
    format!("{address}?{first}{between}{last}")
}

/// Opens a connection and applies [`SETTINGS`].
///
/// # Errors
/// PostgreSQL cannot be reached or refuses.
pub(super) fn establish(url: &str) -> Result<PgConnection, diesel::r2d2::Error> {
    let mut connection =
        PgConnection::establish(&watched(url)).map_err(diesel::r2d2::Error::ConnectionError)?;
    connection.batch_execute(SETTINGS).map_err(diesel::r2d2::Error::QueryError)?;
    Ok(connection)
}

/// Opens the feed's connection, with an application name of its own.
///
/// # Errors
/// PostgreSQL cannot be reached or refuses.
pub(super) fn establish_feed(url: &str) -> Result<PgConnection, DatabaseError> {
    establish(&named(url, "doorward-feed")).map_err(|error| DatabaseError::Unavailable(error.to_string()))
}

impl r2d2::ManageConnection for Manager {
    type Connection = Pooled;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Pooled, Self::Error> {
        let failures_at_test = self.failures.load(Ordering::Relaxed);
        let connection = establish(&self.url)?;
        let failures = Arc::clone(&self.failures);
        Ok(Pooled { connection, tested_at: Instant::now(), failures_at_test, failed: false, failures })
    }

    fn is_valid(&self, pooled: &mut Pooled) -> Result<(), Self::Error> {
        if pooled.needs_test() {
            let failures = pooled.failures.load(Ordering::Relaxed);
            let answer: QueryResult<usize> = diesel::sql_query("SELECT").execute(&mut pooled.connection);
            answer.map_err(diesel::r2d2::Error::QueryError)?;
            pooled.failures_at_test = failures;
            pooled.record_success();
        }
        Ok(())
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        use diesel::connection::TransactionManager;
        type Transactions = <PgConnection as Connection>::TransactionManager;
        pooled.failed || Transactions::is_broken_transaction_manager(&mut pooled.connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str =
        "connect_timeout=2&tcp_user_timeout=2000&keepalives_idle=2&keepalives_interval=1&keepalives_count=2";

    #[test]
    fn timeout_parameters_are_added_and_the_url_overrides_them() {
        for (url, expected) in [
            ("postgres://h/d", format!("postgres://h/d?{QUERY}")),
            ("postgres://h/d?", format!("postgres://h/d?{QUERY}")),
            ("postgres://h/d?connect_timeout=9", format!("postgres://h/d?{QUERY}&connect_timeout=9")),
            ("postgres://u:a?b@h/d", format!("postgres://u:a?b@h/d?{QUERY}")),
            (
                "postgres://u:a?connect_timeout=b#@h,i:1/d?x=y",
                format!("postgres://u:a?connect_timeout=b#@h,i:1/d?{QUERY}&x=y"),
            ),
        ] {
            assert_eq!(watched(url), expected);
        }
    }

    #[test]
    fn feed_name_overrides_the_name_in_the_url() {
        assert_eq!(named("postgres://u:?@h/d", "feed"), "postgres://u:?@h/d?application_name=feed");
        let both = "postgres://h/d?application_name=mine&application_name=feed";
        assert_eq!(named("postgres://h/d?application_name=mine", "feed"), both);
    }
}
