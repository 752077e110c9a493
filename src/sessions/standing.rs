//! How a session stands at this moment, with its user: what the guard asks for each request.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::database::schema::{roles, sessions, signing_keys, users};

/// How a session stands at this moment, with its user: what the guard asks for each request.
#[derive(Clone, Debug)]
pub struct Standing {
    /// When and why it ended.
    pub ended: Option<(DateTime<Utc>, String)>,
    /// The end of its whole life.
    pub expires_at: DateTime<Utc>,
    /// Its user; none: the account is deleted.
    pub user: Option<StandingUser>,
}

/// A user as the guard sees him.
#[derive(Clone, Debug, Queryable)]
pub struct StandingUser {
    /// The id.
    pub id: Uuid,
    /// The name.
    pub username: String,
    /// The address.
    pub email: Option<String>,
    /// `active` or `disabled`.
    pub status: String,
    /// Raised by changes of role and status.
    pub version: i64,
    /// The role's name.
    pub role: String,
    /// What the role may.
    pub permissions: Vec<String>,
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
    type Ended = (Option<DateTime<Utc>>, Option<String>);
    type Row = (Option<DateTime<Utc>>, Ended, DateTime<Utc>, Option<StandingUser>);
    let key_revoked_at =
        signing_keys::table.filter(signing_keys::kid.eq(kid)).select(signing_keys::revoked_at).single_value();
    let row: Option<Row> = sessions::table
        .left_join(users::table.inner_join(roles::table))
        .filter(sessions::id.eq(id))
        .select((
            key_revoked_at,
            (sessions::ended_at, sessions::ended_reason),
            sessions::expires_at,
            (
                users::id,
                users::username,
                users::email,
                users::status,
                users::version,
                users::role,
                roles::permissions,
            )
                .nullable(),
        ))
        .first(connection)
        .optional()?;
    Ok(row.map_or((None, None), |(key_revoked_at, (at, why), expires_at, user)| {
        (key_revoked_at, Some(Standing { ended: at.zip(why), expires_at, user }))
    }))
}
