//! The session: a signed-in device, its row, and how it is listed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::data_types::PgInterval;
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Timestamptz};
use uuid::Uuid;

use crate::database::now;
use crate::database::schema::{refresh_tokens, sessions};

/// How long things last, and how many there may be. Settings.
#[derive(Clone, Debug)]
pub struct Limits {
    /// An access token's life.
    pub access_ttl: Duration,
    /// A refresh token's idle life.
    pub refresh_ttl: Duration,
    /// A session's whole life.
    pub session_ttl: Duration,
    /// How long a spent refresh token is forgiven in any case; zero: not at all.
    pub refresh_grace: Duration,
    /// Sessions that a user may have at once.
    pub max_sessions: u32,
}

/// What a statement that issues tokens read: all that goes into them.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The session.
    pub session_id: Uuid,
    /// Its user.
    pub user_id: Uuid,
    /// The user's name.
    pub username: String,
    /// The user's version, as this statement read it.
    pub version: i64,
    /// What the user may, as this statement read it.
    pub permissions: Vec<String>,
    /// What the sign-in asked for; `None`: whatever the user may.
    pub session_scope: Option<Vec<String>>,
    /// The last sign-in or step-up.
    pub auth_time: DateTime<Utc>,
    /// The generation of the live refresh token.
    pub generation: i32,
    /// The end of its idle life.
    pub refresh_expires_at: DateTime<Utc>,
    /// The database's time.
    pub issued_at: DateTime<Utc>,
}

impl Grant {
    /// What a token of this session may carry at most, sorted by name.
    #[must_use]
    pub fn scope(&self) -> Vec<String> {
        let within = |name: &&String| self.session_scope.as_ref().is_none_or(|scope| scope.contains(name));
        let mut scope: Vec<String> = self.permissions.iter().filter(within).cloned().collect();
        scope.sort();
        scope
    }
}

/// Those of `wanted` that are not in `had`.
#[must_use]
pub fn missing(wanted: Option<&[String]>, had: &[String]) -> Vec<String> {
    wanted.unwrap_or_default().iter().filter(|name| !had.contains(name)).cloned().collect()
}

/// A duration of a setting as a difference of times.
#[must_use]
pub fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// A duration of a setting as PostgreSQL has it.
pub(super) fn interval(duration: Duration) -> PgInterval {
    PgInterval::from_microseconds(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

/// A live session, for those who may see it.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// `browser` or `api`.
    pub kind: String,
    /// What the device calls itself.
    pub device: Option<String>,
    /// The address that it was begun from.
    pub address: Option<String>,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it was last refreshed or used, to within some ten seconds.
    pub last_used_at: DateTime<Utc>,
    /// When it ends if it is not used again.
    pub expires_at: DateTime<Utc>,
}

/// The live sessions of a user, the latest begun first.
///
/// # Errors
/// PostgreSQL's.
pub fn list(connection: &mut PgConnection, user_id: Uuid) -> QueryResult<Vec<Session>> {
    list_page(connection, user_id, None, i64::MAX)
}

/// At most `limit` of them, of those begun before the session `before`.
///
/// # Errors
/// PostgreSQL's.
pub fn list_page(
    connection: &mut PgConnection,
    user_id: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> QueryResult<Vec<Session>> {
    type Times = (DateTime<Utc>, Vec<DateTime<Utc>>);
    type Row = (Uuid, String, Option<String>, Option<String>, DateTime<Utc>, DateTime<Utc>, DateTime<Utc>);
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

/// When a browser's session ends if it is not used again; NULL for an API client's.
pub(super) fn browser_idle_end() -> SqlLiteral<Nullable<Timestamptz>> {
    sql("(sessions.last_used_at + sessions.idle_seconds * interval '1 second')")
}
