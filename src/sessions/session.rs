//! Defines a session and the data in its tokens, and lists the sessions of a user.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::data_types::PgInterval;
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Timestamptz};
use uuid::Uuid;

use crate::database::named::named;
use crate::database::now;
use crate::database::schema::{refresh_tokens, sessions};

/// The configured lifetimes and the limit on sessions.
#[derive(Clone, Debug)]
pub struct SessionLimits {
    /// Lifetime of an access token.
    pub access_ttl: Duration,
    /// Idle lifetime of a refresh token.
    pub refresh_ttl: Duration,
    /// Lifetime of a session, from sign-in.
    pub session_ttl: Duration,
    /// For this long, a refresh token that was already rotated is forgiven in any case. Zero turns that off.
    pub refresh_grace: Duration,
    /// The number of sessions that a user may have at once.
    pub max_sessions: u32,
}

/// The data that goes into issued tokens, read in the transaction that issues them.
#[derive(Clone, Debug)]
pub struct Grant {
    pub session_id: Uuid,
    pub user_id: Uuid,
    pub username: String,
    /// The user's version, as read in that transaction.
    pub version: i64,
    /// The user's permissions, as read in that transaction.
    pub permissions: Vec<String>,
    /// The scope that the sign-in requested. `None` means all of the user's permissions.
    pub session_scope: Option<Vec<String>>,
    /// The time of the last sign-in or step-up.
    pub auth_time: DateTime<Utc>,
    /// The generation of the current refresh token.
    pub generation: i32,
    /// The end of the refresh token's idle lifetime.
    pub refresh_expires_at: DateTime<Utc>,
    /// The database's time.
    pub issued_at: DateTime<Utc>,
}

impl Grant {
    /// Returns the widest scope that a token of this session may have, sorted by name.
    #[must_use]
    pub fn scope(&self) -> Vec<String> {
        let within = |name: &&String| self.session_scope.as_ref().is_none_or(|scope| scope.contains(name));
        let mut scope: Vec<String> = self.permissions.iter().filter(within).cloned().collect();
        scope.sort();
        scope
    }
}

/// Returns the names in `wanted` that are not in `had`.
#[must_use]
pub(crate) fn missing(wanted: Option<&[String]>, had: &[String]) -> Vec<String> {
    wanted.unwrap_or_default().iter().filter(|name| !had.contains(name)).cloned().collect()
}

/// Converts a configured duration to a difference of times.
#[must_use]
pub(crate) fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// Converts a configured duration to a PostgreSQL interval.
pub(super) fn interval(duration: Duration) -> PgInterval {
    PgInterval::from_microseconds(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

named! {
    /// The kind of client that holds a session.
    pub enum SessionKind {
        /// A browser, which holds a cookie.
        Browser = "browser",
        /// An API client, which holds a refresh token.
        Api = "api",
    }
}

/// An active session, as it is listed.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: Uuid,
    pub kind: SessionKind,
    /// The name that the device gave itself.
    pub device: Option<String>,
    /// The client address of the sign-in.
    pub address: Option<String>,
    /// The time of the sign-in.
    pub created_at: DateTime<Utc>,
    /// The time of the last refresh or use, about 10 s behind at most.
    pub last_used_at: DateTime<Utc>,
    /// The time when the session expires if it is not used again.
    pub expires_at: DateTime<Utc>,
}

/// Returns the active sessions of a user, the latest sign-in first.
pub(crate) fn list(connection: &mut PgConnection, user_id: Uuid) -> QueryResult<Vec<Session>> {
    list_page(connection, user_id, None, i64::MAX)
}

/// Returns at most `limit` active sessions of a user that started before the session `before`.
pub(crate) fn list_page(
    connection: &mut PgConnection,
    user_id: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> QueryResult<Vec<Session>> {
    type Times = (DateTime<Utc>, Vec<DateTime<Utc>>);
    type Row =
        (Uuid, SessionKind, Option<String>, Option<String>, DateTime<Utc>, DateTime<Utc>, DateTime<Utc>);
    type BrowserEnds = Option<DateTime<Utc>>;
    let rows: Vec<(Row, BrowserEnds, Option<Times>)> = sessions::table
        .left_join(refresh_tokens::table)
        .filter(sessions::user_id.eq(user_id).and(sessions::id.lt(before.unwrap_or(Uuid::max()))))
        .filter(sessions::ended_at.is_null().and(sessions::expires_at.gt(now())))
        .filter(
            refresh_tokens::expires_at
                .nullable()
                .is_null()
                .or(refresh_tokens::expires_at.nullable().gt(now().nullable())),
        )
        .filter(sessions::idle_seconds.is_null().or(browser_idle_end().gt(now().nullable())))
        .select((
            (
                sessions::id,
                sessions::kind,
                sessions::device,
                sessions::address,
                sessions::created_at,
                sessions::last_used_at,
                sessions::expires_at,
            ),
            browser_idle_end(),
            (refresh_tokens::expires_at, refresh_tokens::rotated_at).nullable(),
        ))
        .order(sessions::id.desc())
        .limit(limit)
        .load(connection)?;
    let session = |(row, browser_ends, refresh): (Row, BrowserEnds, Option<Times>)| {
        let (id, kind, device, address, created_at, used, ends) = row;
        let (idle_ends, rotated_at) = refresh.unwrap_or((browser_ends.unwrap_or(ends), Vec::new()));
        let last_used_at = rotated_at.first().map_or(used, |rotated| used.max(*rotated));
        Session { id, kind, device, address, created_at, last_used_at, expires_at: ends.min(idle_ends) }
    };
    Ok(rows.into_iter().map(session).collect())
}

/// Returns the SQL for the time when an unused browser session expires. It is NULL for an API client's
/// session.
pub(super) fn browser_idle_end() -> SqlLiteral<Nullable<Timestamptz>> {
    sql("(sessions.last_used_at + sessions.idle_seconds * interval '1 second')")
}
