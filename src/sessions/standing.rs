//! How a session stands at this moment, with its user: what the guard asks for each request.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::session::browser_idle_end;
use crate::database::now;
use crate::database::schema::{roles, sessions, signing_keys, users};
use crate::tokens::holder::{Holder, holder_columns};
use crate::tokens::names::Names;

type Ended = (Option<DateTime<Utc>>, Option<String>);

/// Why a caller may no longer do what the guard let him in for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// His session was ended, then and for this reason.
    SessionEnded(DateTime<Utc>, String),
    /// His session stands nowhere.
    SessionUnknown,
    /// His account is no more.
    AccountDeleted,
    /// His account is disabled.
    AccountDisabled,
}

/// What became of a change for which the password was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified<T> {
    /// It is made.
    Done(T),
    /// The hash is no longer the one that was verified: verify again.
    Outdated,
    /// It may no longer be made.
    Lapsed(Lapse),
}

/// How a session stands at this moment, with its user: what the guard asks for each request.
#[derive(Clone, Debug)]
pub struct Standing {
    /// When and why it ended.
    pub ended: Option<(DateTime<Utc>, String)>,
    /// The end of its whole life.
    pub expires_at: DateTime<Utc>,
    /// What its sign-in asked for; `None`: whatever the user may.
    pub scope: Option<Names>,
    /// Its user; none: the account is deleted.
    pub user: Option<Holder>,
}

/// A browser's session, found by its cookie.
#[derive(Clone, Debug)]
pub struct BrowserStanding {
    /// The session.
    pub id: Uuid,
    /// The last sign-in or step-up.
    pub auth_time: DateTime<Utc>,
    /// When it expired, if it has; by the database's clock.
    pub expired_at: Option<DateTime<Utc>>,
    /// How long until then, by the same clock.
    pub left: Duration,
    /// How it stands; `expires_at` is the nearer of its two ends.
    pub standing: Standing,
}

/// The browser's session whose cookie has this digest.
///
/// # Errors
/// PostgreSQL's.
pub fn find_browser_standing(
    connection: &mut PgConnection,
    cookie_digest: &[u8; 32],
) -> QueryResult<Option<BrowserStanding>> {
    type Times = (DateTime<Utc>, DateTime<Utc>, Option<DateTime<Utc>>, DateTime<Utc>);
    type Row = (Uuid, Times, Ended, Option<Holder>);
    let row: Option<Row> = sessions::table
        .left_join(users::table.inner_join(roles::table))
        .filter(sessions::cookie_digest.eq(cookie_digest.as_slice()))
        .select((
            sessions::id,
            (sessions::auth_time, sessions::expires_at, browser_idle_end(), now()),
            (sessions::ended_at, sessions::ended_reason),
            holder_columns!(),
        ))
        .first(connection)
        .optional()?;
    Ok(row.map(|(id, (auth_time, ends, idle_ends, now), (at, why), user)| {
        let expires_at = idle_ends.map_or(ends, |idle_ends| ends.min(idle_ends));
        let expired_at = (expires_at <= now).then_some(expires_at);
        BrowserStanding {
            id,
            auth_time,
            expired_at,
            left: (expires_at - now).to_std().unwrap_or_default(),
            standing: Standing { ended: at.zip(why), expires_at, scope: None, user },
        }
    }))
}

/// A session's standing, and when the key that signed the access token was revoked: one round trip.
///
/// # Errors
/// PostgreSQL's.
pub fn find_standing(
    connection: &mut PgConnection,
    id: Uuid,
    kid: &str,
) -> QueryResult<(Option<DateTime<Utc>>, Option<Standing>)> {
    type Row = (Option<DateTime<Utc>>, Ended, DateTime<Utc>, Option<Vec<String>>, Option<Holder>);
    let key_revoked_at =
        signing_keys::table.filter(signing_keys::kid.eq(kid)).select(signing_keys::revoked_at).single_value();
    let row: Option<Row> = sessions::table
        .left_join(users::table.inner_join(roles::table))
        .filter(sessions::id.eq(id))
        .select((
            key_revoked_at,
            (sessions::ended_at, sessions::ended_reason),
            sessions::expires_at,
            sessions::scope,
            holder_columns!(),
        ))
        .first(connection)
        .optional()?;
    Ok(row.map_or((None, None), |(key_revoked_at, (at, why), expires_at, scope, user)| {
        let scope = scope.map(Names::from);
        (key_revoked_at, Some(Standing { ended: at.zip(why), expires_at, scope, user }))
    }))
}

/// Looks again, in the caller's transaction, whether a user may still act in his session; `None`: he may. His row is
/// locked until the transaction ends: a change of password and a deletion take turns with what is done in it.
///
/// # Errors
/// PostgreSQL's.
pub fn find_lapse(
    connection: &mut PgConnection,
    user_id: Uuid,
    session_id: Option<Uuid>,
) -> QueryResult<Option<Lapse>> {
    let status: Option<String> =
        users::table.find(user_id).select(users::status).for_no_key_update().first(connection).optional()?;
    let ended = session_id.map(|id| find_end(connection, id)).transpose()?;
    Ok(match (ended, status.as_deref()) {
        (Some(Some((Some(at), Some(reason)))), _) => Some(Lapse::SessionEnded(at, reason)),
        (_, None) => Some(Lapse::AccountDeleted),
        (Some(None), _) => Some(Lapse::SessionUnknown),
        (_, Some("active")) => None,
        (_, Some(_)) => Some(Lapse::AccountDisabled),
    })
}

fn find_end(connection: &mut PgConnection, id: Uuid) -> QueryResult<Option<Ended>> {
    let end = sessions::table.find(id).select((sessions::ended_at, sessions::ended_reason));
    end.first(connection).optional()
}
