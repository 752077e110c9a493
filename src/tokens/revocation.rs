//! The feed's rows: whatever ends something writes one in its own transaction, a trigger announces it, and each node reads
//! what is new to it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Nullable, Text, Timestamptz};
use uuid::Uuid;

use crate::database::feed;
use crate::database::schema::revocations;

/// What is no longer good, or no longer what it was.
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
    /// Nothing of a session but what is remembered of it: its sign-in is more recent.
    SessionChanged(Uuid),
    /// Nothing of a user but what is remembered of him: his names are others.
    UserChanged(Uuid),
    /// Whatever is remembered.
    Everything,
}

impl Revoked {
    /// The name in the database.
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

    /// Of whom or what, as the database has it.
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

    /// What cannot be read, a later version wrote: it may concern anything.
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
    feed::announce();
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

/// Writes a row that matters to whoever remembers something now, and to nobody later.
///
/// # Errors
/// PostgreSQL's.
pub fn insert_change(connection: &mut PgConnection, changed: &Revoked, reason: &str) -> QueryResult<()> {
    let moment: DateTime<Utc> = diesel::select(crate::database::now()).get_result(connection)?;
    insert(connection, changed, reason, moment)
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

/// How far the feed was read: the snapshot of the last read. A row is new to the next one if its transaction was running
/// then, or had not begun; so neither the order in which transactions commit nor one that stays open hides a row, and none
/// is read twice.
#[derive(Clone, Debug)]
pub struct Bookmark {
    /// Transactions from this one on had not begun.
    next: i64,
    /// These were running.
    running: Vec<i64>,
    /// Where and in which table was read.
    place: Place,
}

/// Another server, or a table that was replaced, has nothing to do with what was read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    server: i64,
    table: i64,
}

/// A row that is new to its reader.
#[derive(Clone, Debug)]
pub struct News {
    /// What was revoked.
    pub revoked: Revoked,
    /// How long ago its transaction began, by PostgreSQL's clock.
    pub age: Duration,
    /// Why.
    pub reason: String,
    /// When, by PostgreSQL's clock.
    pub revoked_at: DateTime<Utc>,
    /// Until when it concerns anything.
    pub matters_until: DateTime<Utc>,
}

/// What a read gave.
#[derive(Clone, Debug)]
pub struct Reading {
    /// For the next read.
    pub bookmark: Bookmark,
    /// The database's time, at the beginning of the query.
    pub time: DateTime<Utc>,
    /// What is new; `None`: what was read before is worth nothing, since there was no read before, or the database is
    /// another or has gone back in time.
    pub news: Option<Vec<News>>,
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

/// Reads the rows that are new since the bookmark was made.
///
/// # Errors
/// PostgreSQL's.
pub fn read(connection: &mut PgConnection, last: Option<&Bookmark>) -> QueryResult<Reading> {
    // Without a bookmark no row is asked for: nothing was remembered that one could concern.
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
    let place = Place { server: first.server, table: first.table };
    let (bookmark, time) = (Bookmark { next: first.next, running: first.running.clone(), place }, first.time);
    let goes_on = last.is_some_and(|last| last.place == place && last.next <= bookmark.next);
    let news = goes_on.then(|| rows.into_iter().filter_map(Row::into_news).collect());
    Ok(Reading { bookmark, time, news })
}

impl Row {
    fn into_news(self) -> Option<News> {
        let revoked = Revoked::read(&self.kind?, self.subject?, self.least_version);
        let age = Duration::try_from_secs_f64(self.age.unwrap_or_default()).unwrap_or_default();
        let (revoked_at, matters_until) = (self.revoked_at?, self.matters_until?);
        Some(News { revoked, age, reason: self.reason?, revoked_at, matters_until })
    }
}

/// Gives rows of transactions that this cluster has not seen yet (a dump of another brought them) a transaction that it
/// has: they would be new to every read.
///
/// # Errors
/// PostgreSQL's.
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
    fn what_was_revoked_is_read_as_it_is_written() {
        let id = Uuid::from_u128(7);
        for (revoked, kind) in [
            (Revoked::Session(id), "session"),
            (Revoked::UserBelow(id, 3), "user"),
            (Revoked::PersonalToken(id), "token"),
            (Revoked::Key("kid".into()), "key"),
            (Revoked::SessionChanged(id), "session_changed"),
            (Revoked::UserChanged(id), "user_changed"),
            (Revoked::Everything, "everything"),
        ] {
            assert_eq!(revoked.kind(), kind);
            assert_eq!(Revoked::read(kind, revoked.subject(), revoked.least_version()), revoked);
        }
    }

    #[test]
    fn what_a_later_version_wrote_may_concern_anything() {
        let id = Uuid::from_u128(7).to_string();
        for (kind, subject, least_version) in
            [("device", id.as_str(), None), ("session", "no id", None), ("user", id.as_str(), None)]
        {
            assert_eq!(Revoked::read(kind, subject.to_owned(), least_version), Revoked::Everything, "{kind}");
        }
    }
}
