//! The feed's rows: whatever ends something writes one in its own transaction, and a trigger announces it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::database::schema::revocations;

/// What is no longer good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// A session, with all that it issued.
    Session(Uuid),
    /// Access tokens of a user with a version below this one.
    UserBelow(Uuid, i64),
    /// A personal access token.
    PersonalToken(Uuid),
    /// A signing key, with every token that it signed.
    Key(String),
}

impl Revoked {
    fn kind(&self) -> &'static str {
        match self {
            Self::Session(_) => "session",
            Self::UserBelow(..) => "user",
            Self::PersonalToken(_) => "token",
            Self::Key(_) => "key",
        }
    }

    fn subject(&self) -> String {
        match self {
            Self::Session(id) | Self::UserBelow(id, _) | Self::PersonalToken(id) => id.to_string(),
            Self::Key(kid) => kid.clone(),
        }
    }

    fn least_version(&self) -> Option<i64> {
        match self {
            Self::UserBelow(_, version) => Some(*version),
            _ => None,
        }
    }
}

/// Writes a row of the feed, in the caller's transaction. After `matters_until` nothing that it concerns can be
/// presented any more.
///
/// # Errors
/// PostgreSQL's.
pub fn insert(
    connection: &mut PgConnection,
    revoked: &Revoked,
    reason: &str,
    matters_until: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(revocations::table)
        .values((
            revocations::kind.eq(revoked.kind()),
            revocations::subject.eq(revoked.subject()),
            revocations::least_version.eq(revoked.least_version()),
            revocations::reason.eq(reason),
            revocations::revoked_at.eq(crate::database::now()),
            revocations::matters_until.eq(matters_until),
        ))
        .execute(connection)
        .map(|_| ())
}

/// When and why a user's version was first raised past `version`.
///
/// # Errors
/// PostgreSQL's.
pub fn find_of_user(
    connection: &mut PgConnection,
    user_id: Uuid,
    version: i64,
) -> QueryResult<Option<(DateTime<Utc>, String)>> {
    revocations::table
        .filter(revocations::subject.eq(user_id.to_string()).and(revocations::kind.eq("user")))
        .filter(revocations::least_version.gt(version))
        .order(revocations::position)
        .select((revocations::revoked_at, revocations::reason))
        .first(connection)
        .optional()
}
