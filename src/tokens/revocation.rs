//! Reads and writes the rows of the revocation feed. Every revocation writes one in its own transaction, a
//! trigger notifies the nodes, and each node reads the rows that are new to it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Nullable, Text, Timestamptz};
use uuid::Uuid;

use super::ended::Ended;
use super::owner::AccountChange;
use crate::database::feed;
use crate::database::schema::revocations;

/// A credential that was revoked, or a record that nodes must drop from their caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// A session, with all tokens issued for it.
    Session(Uuid),
    /// Access tokens of a user with a version below this one.
    UserBelow(Uuid, i64),
    /// A personal access token.
    PersonalToken(Uuid),
    /// A signing key, with every token that it signed.
    Key(String),
    /// Nothing is revoked. The session's sign-in or secret changed, so caches drop the session.
    SessionChanged(Uuid),
    /// Nothing is revoked. The user's names changed, so caches drop the user.
    UserChanged(Uuid),
    /// Caches drop everything.
    Everything,
}

impl Revocation {
    /// Returns the name in the database.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Session(_) => "session",
            Self::UserBelow(..) => "user",
            Self::PersonalToken(_) => "token",
            Self::Key(_) => "key",
            Self::SessionChanged(_) => "session_changed",
            Self::UserChanged(_) => "user_changed",
            Self::Everything => "everything",
        }
    }

    /// Returns the ID of the subject, as the database stores it.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Session(id)
            | Self::UserBelow(id, _)
            | Self::PersonalToken(id)
            | Self::SessionChanged(id)
            | Self::UserChanged(id) => id.to_string(),
            Self::Key(kid) => kid.clone(),
            Self::Everything => String::new(),
        }
    }

    fn least_version(&self) -> Option<i64> {
        match self {
            Self::UserBelow(_, version) => Some(*version),
            _ => None,
        }
    }

    /// Parses a row. A row that cannot be parsed was written by a later version and may concern anything.
    fn read(kind: &str, subject: String, least_version: Option<i64>) -> Self {
        match (kind, Uuid::try_parse(&subject), least_version) {
            ("session", Ok(id), _) => Self::Session(id),
            ("user", Ok(id), Some(version)) => Self::UserBelow(id, version),
            ("token", Ok(id), _) => Self::PersonalToken(id),
            ("session_changed", Ok(id), _) => Self::SessionChanged(id),
            ("user_changed", Ok(id), _) => Self::UserChanged(id),
            ("key", ..) => Self::Key(subject),
            _ => Self::Everything,
        }
    }
}

/// Writes a row of the feed, in the caller's transaction. After `matters_until`, no credential that it
/// concerns can still be valid.
pub fn insert(
    connection: &mut PgConnection,
    revoked: &Revocation,
    reason: &str,
    matters_until: DateTime<Utc>,
) -> QueryResult<()> {
    feed::publish();
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

/// Writes a row that only concerns caches, and only their present content.
pub fn insert_change(connection: &mut PgConnection, changed: &Revocation, reason: &str) -> QueryResult<()> {
    let moment: DateTime<Utc> = diesel::select(crate::database::now()).get_result(connection)?;
    insert(connection, changed, reason, moment)
}

/// Returns when and why a user's version first rose above `version`.
pub fn find_of_user(
    connection: &mut PgConnection,
    user_id: Uuid,
    version: i64,
) -> QueryResult<Option<Ended<AccountChange>>> {
    let found: Option<(DateTime<Utc>, AccountChange)> = revocations::table
        .filter(revocations::subject.eq(user_id.to_string()).and(revocations::kind.eq("user")))
        .filter(revocations::least_version.gt(version))
        .order(revocations::position)
        .select((revocations::revoked_at, revocations::reason))
        .first(connection)
        .optional()?;
    Ok(found.map(|(at, reason)| Ended { at, reason }))
}

/// The position up to which the feed was read, as the snapshot of that read. A row is new to the next read if
/// its transaction was running then or had not started. Therefore a read misses no row, in whatever order
/// transactions commit, and reads none twice.
#[derive(Clone, Debug)]
pub struct Bookmark {
    /// Transactions from this one on had not started.
    next: i64,
    /// The transactions that were running.
    running: Vec<i64>,
    /// The server and table that were read.
    place: FeedSource,
}

/// A server and a table. After a change of either, earlier reads mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FeedSource {
    server: i64,
    table: i64,
}

/// A row that is new to its reader.
#[derive(Clone, Debug)]
pub struct FeedEvent {
    pub revoked: Revocation,
    /// The age of its transaction, by PostgreSQL's clock.
    pub age: Duration,
    pub reason: String,
    /// The time of the revocation, by PostgreSQL's clock.
    pub revoked_at: DateTime<Utc>,
    /// The row concerns nothing after this time.
    pub matters_until: DateTime<Utc>,
}

/// The feed events of one read, and the bookmark for the next.
#[derive(Clone, Debug)]
pub struct FeedRead {
    /// The bookmark for the next read.
    pub bookmark: Bookmark,
    /// The database's time at the start of the query.
    pub time: DateTime<Utc>,
    /// The new rows. `None` if there is no usable earlier read, because this is the first one, or it is a
    /// different database, or the database was reset to an earlier state. Then caches are invalid.
    pub events: Option<Vec<FeedEvent>>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    next: i64,
    #[diesel(sql_type = Array<BigInt>)]
    running: Vec<i64>,
    #[diesel(sql_type = BigInt)]
    server: i64,
    #[diesel(sql_type = BigInt)]
    table: i64,
    #[diesel(sql_type = Timestamptz)]
    time: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    kind: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    subject: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    least_version: Option<i64>,
    #[diesel(sql_type = Nullable<Double>)]
    age: Option<f64>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    revoked_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    matters_until: Option<DateTime<Utc>>,
}

/// Reads the rows that are new since `last`.
pub fn read(connection: &mut PgConnection, last: Option<&Bookmark>) -> QueryResult<FeedRead> {
    // Without a bookmark no rows are needed, because nothing is cached that they could concern.
    let (next, running) = last.map_or((i64::MAX, Vec::new()), |last| (last.next, last.running.clone()));
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT here.*, r.kind, r.subject, r.least_version, r.reason, r.revoked_at, r.matters_until,
            extract(epoch FROM clock_timestamp() - r.revoked_at)::float8 AS age
         FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next,
                ARRAY(SELECT x::text::bigint FROM pg_snapshot_xip(pg_current_snapshot()) AS x) AS running,
                (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS server,
                pg_relation_filenode('revocations')::bigint AS \"table\", now() AS time) AS here
         LEFT JOIN revocations AS r ON r.transaction >= $1 OR r.transaction = ANY ($2)
         ORDER BY r.position",
    )
    .bind::<BigInt, _>(next)
    .bind::<Array<BigInt>, _>(running)
    .load(connection)?;
    let first = rows.first().ok_or(diesel::NotFound)?;
    let place = FeedSource { server: first.server, table: first.table };
    let (bookmark, time) = (Bookmark { next: first.next, running: first.running.clone(), place }, first.time);
    let goes_on = last.is_some_and(|last| last.place == place && last.next <= bookmark.next);
    let events = goes_on.then(|| rows.into_iter().filter_map(Row::into_event).collect());
    Ok(FeedRead { bookmark, time, events })
}

impl Row {
    fn into_event(self) -> Option<FeedEvent> {
        let revoked = Revocation::read(&self.kind?, self.subject?, self.least_version);
        let age = Duration::try_from_secs_f64(self.age.unwrap_or_default()).unwrap_or_default();
        let (revoked_at, matters_until) = (self.revoked_at?, self.matters_until?);
        Some(FeedEvent { revoked, age, reason: self.reason?, revoked_at, matters_until })
    }
}

/// Assigns a current transaction to rows whose transaction this cluster has not reached yet, as in a dump
/// from another cluster. Otherwise they would be new to every read.
pub fn adopt(connection: &mut PgConnection) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE revocations SET transaction = pg_current_xact_id()::text::bigint
         WHERE transaction >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint",
    )
    .execute(connection)
    .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocation_is_read_as_it_is_written() {
        let id = Uuid::from_u128(7);
        for (revoked, kind) in [
            (Revocation::Session(id), "session"),
            (Revocation::UserBelow(id, 3), "user"),
            (Revocation::PersonalToken(id), "token"),
            (Revocation::Key("kid".into()), "key"),
            (Revocation::SessionChanged(id), "session_changed"),
            (Revocation::UserChanged(id), "user_changed"),
            (Revocation::Everything, "everything"),
        ] {
            assert_eq!(revoked.kind(), kind);
            assert_eq!(Revocation::read(kind, revoked.subject(), revoked.least_version()), revoked);
        }
    }

    #[test]
    fn unknown_revocation_counts_as_everything() {
        let id = Uuid::from_u128(7).to_string();
        for (kind, subject, least_version) in
            [("device", id.as_str(), None), ("session", "no id", None), ("user", id.as_str(), None)]
        {
            assert_eq!(
                Revocation::read(kind, subject.to_owned(), least_version),
                Revocation::Everything,
                "{kind}"
            );
        }
    }
}
