//! Converts the names that earlier versions stored to their canonical form. If two accounts then have the
//! same name, the older one keeps it. The younger one loses its e-mail address, or its username becomes its
//! e-mail address.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::canonical_form::{aliases, canonical};
use super::set_password;
use super::user;
use crate::audit::{EventDetails, Origin, Subject, event};
use crate::database::schema::{login_names, users};
use crate::database::{indexes, now};
use crate::tokens::revocation::{self, Revocation};

/// The number of accounts in a batch.
const BATCH: i64 = 500;
/// The number of names that an account can have.
const NAMES: usize = 2;
/// The number of the advisory lock: "canon" in ASCII.
const LOCK: i64 = 0x63_616e_6f6e;
/// Matches names whose canonical form may differ, which are addresses with non-ASCII letters or with domains
/// in ASCII. An index has this condition.
const CONDITION: &str = "((username_folded LIKE '%@%xn--%' OR email_folded LIKE '%@%xn--%') \
                         OR (username_folded LIKE '%@%' AND octet_length(username_folded) <> length(username_folded)) \
                         OR octet_length(email_folded) <> length(email_folded))";

#[derive(Clone, Debug, QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = Text)]
    username_folded: String,
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    email_folded: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    created_at: chrono::DateTime<chrono::Utc>,
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// The names that a batch converted, and those that it could not convert.
#[derive(Debug, Default)]
pub struct Report {
    /// The number of accounts whose names were converted.
    pub changed: usize,
    /// The accounts that lost a name to an older account.
    pub lost: Vec<LostName>,
    /// The usernames of accounts that have no other name. They keep the name, although another account has
    /// another spelling of it.
    pub unresolved: Vec<String>,
    /// The last account of the batch. `None` if there are no more.
    pub last: Option<Uuid>,
}

/// A name that the younger of two accounts lost to the older one.
#[derive(Clone, Debug)]
pub struct LostName {
    /// The previous username of the younger account.
    pub username: String,
    /// The name that the younger account lost.
    pub name: String,
    /// The ID of the older account.
    pub kept_by: Uuid,
}

/// Processes the accounts after `after`, with one transaction for each that must change.
pub fn run_batch(connection: &mut PgConnection, after: Uuid) -> QueryResult<Report> {
    let rows = list(connection, after)?;
    let mut report = Report { last: rows.last().map(|row| row.id), ..Report::default() };
    for row in rows {
        // An account may lose one name to an older account and still have another name to convert.
        for _ in 0..NAMES {
            if is_canonical(connection, &row)? || !settle_alone(connection, row.id, &mut report)? {
                break;
            }
        }
    }
    Ok(report)
}

/// Processes the accounts after `after` like [`run_batch`], but finds none while the index for the search is
/// missing. Otherwise periodic calls would read the whole table each time.
pub fn run_batch_by_index(connection: &mut PgConnection, after: Uuid) -> QueryResult<Report> {
    if !indexes::exists(connection, indexes::USERS_WITH_SPELLINGS)? {
        return Ok(Report::default());
    }
    run_batch(connection, after)
}

/// Processes all accounts.
pub fn run(connection: &mut PgConnection) -> QueryResult<Report> {
    let mut sum = Report::default();
    let mut after = Uuid::nil();
    loop {
        let batch = run_batch(connection, after)?;
        let Some(last) = batch.last else { return Ok(sum) };
        after = last;
        sum.changed += batch.changed;
        sum.lost.extend(batch.lost);
        sum.unresolved.extend(batch.unresolved);
    }
}

/// Processes one account in its own transaction. Returns whether it lost a name.
fn settle_alone(connection: &mut PgConnection, id: Uuid, report: &mut Report) -> QueryResult<bool> {
    let settled = crate::database::transaction(connection, |connection| {
        let mut settled = Report::default();
        settle(connection, id, &mut settled)?;
        Ok(settled)
    })?;
    let has_lost = settled.lost.iter().any(|loss| loss.kept_by != id);
    report.changed += settled.changed;
    report.lost.extend(settled.lost);
    report.unresolved.extend(settled.unresolved);
    Ok(has_lost)
}

/// Returns the usernames of accounts that have a name that another account has in another spelling.
pub fn find_unresolved(connection: &mut PgConnection) -> QueryResult<Vec<String>> {
    let (mut found, mut after) = (Vec::new(), Uuid::nil());
    loop {
        let rows = list(connection, after)?;
        let Some(last) = rows.last() else { return Ok(found) };
        after = last.id;
        for row in rows {
            if !is_canonical(connection, &row)? {
                found.push(row.username);
            }
        }
    }
}

fn list(connection: &mut PgConnection, after: Uuid) -> QueryResult<Vec<Row>> {
    diesel::sql_query(format!(
        "SELECT id, username, username_folded, email, email_folded, created_at FROM users \
         WHERE {CONDITION} AND id > $1 ORDER BY id LIMIT $2"
    ))
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(BATCH)
    .load(connection)
}

fn find(connection: &mut PgConnection, id: Uuid) -> QueryResult<Option<Row>> {
    diesel::sql_query(
        "SELECT id, username, username_folded, email, email_folded, created_at FROM users WHERE id = $1 \
         FOR NO KEY UPDATE",
    )
    .bind::<SqlUuid, _>(id)
    .get_result(connection)
    .optional()
}

impl Row {
    fn typed(&self) -> impl Iterator<Item = &str> {
        [Some(self.username.as_str()), self.email.as_deref()].into_iter().flatten()
    }

    /// Returns every name that the account should have, in every spelling.
    fn wanted(&self) -> BTreeSet<String> {
        self.typed().flat_map(|typed| aliases(typed).into_iter().chain([canonical(typed)])).collect()
    }

    fn is_folded(&self) -> bool {
        self.username_folded == canonical(&self.username)
            && self.email_folded == self.email.as_deref().map(canonical)
    }

    fn is_older_than(&self, other: &Self) -> bool {
        (self.created_at, self.id) < (other.created_at, other.id)
    }
}

fn is_canonical(connection: &mut PgConnection, row: &Row) -> QueryResult<bool> {
    if !row.is_folded() {
        return Ok(false);
    }
    let had: Vec<String> = login_names::table
        .filter(login_names::user_id.eq(row.id))
        .select(login_names::folded)
        .load(connection)?;
    let had: BTreeSet<String> = had.into_iter().collect();
    Ok(row.wanted().is_subset(&had))
}

/// Converts the names of an account. Only one process does this at a time. If another transaction takes a
/// name meanwhile, this one fails, and the next run tries again.
fn settle(connection: &mut PgConnection, id: Uuid, report: &mut Report) -> QueryResult<()> {
    let lock: Locked = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked")
        .bind::<BigInt, _>(LOCK)
        .get_result(connection)?;
    if !lock.locked {
        return Ok(());
    }
    let Some(row) = find(connection, id)? else { return Ok(()) };
    for name in row.wanted() {
        let owner: Option<Uuid> = login_names::table
            .find(&name)
            .filter(login_names::user_id.ne(id))
            .select(login_names::user_id)
            .first(connection)
            .optional()?;
        let Some(other) = owner.map(|owner| find(connection, owner)).transpose()?.flatten() else { continue };
        let (older, younger) = if row.is_older_than(&other) { (&row, &other) } else { (&other, &row) };
        if !take_from(connection, younger, &canonical(&name), older.id, report)? {
            report.unresolved.push(younger.username.clone());
            return Ok(());
        }
        if younger.id == id {
            // The next run processes the names that it still has.
            return Ok(());
        }
    }
    write(connection, &row)?;
    report.changed += 1;
    Ok(())
}

/// Takes a name from an account. Returns false and changes nothing if it has no other name.
fn take_from(
    connection: &mut PgConnection,
    younger: &Row,
    name: &str,
    kept_by: Uuid,
    report: &mut Report,
) -> QueryResult<bool> {
    let other_address = younger.email.as_deref().filter(|email| canonical(email) != name);
    let loses_username = canonical(&younger.username) == name;
    let (username, email) = match (loses_username, other_address) {
        (true, None) => return Ok(false),
        (true, Some(email)) => {
            let folded =
                (users::username.eq(email), users::username_folded.eq(users::email_folded.assume_not_null()));
            diesel::update(users::table.find(younger.id)).set(folded).execute(connection)?;
            (Some(Some(email.to_owned())), None)
        }
        (false, _) => {
            let none = None::<String>;
            let gone = (users::email.eq(&none), users::email_folded.eq(&none), users::updated_at.eq(now()));
            diesel::update(users::table.find(younger.id)).set(gone).execute(connection)?;
            (None, Some(None))
        }
    };
    set_password::consume_links(connection, younger.id)?;
    let subject = Subject { id: Some(younger.id), name: Some(&younger.username) };
    let reason = Some("name_of_an_older_account".to_owned());
    let details = EventDetails::UserUpdated { username, email, reason };
    event::insert(connection, &Origin::server(), subject, &details)?;
    revocation::insert_change(connection, &Revocation::UserChanged(younger.id), "renamed")?;
    report.lost.push(LostName { username: younger.username.clone(), name: name.to_owned(), kept_by });
    Ok(true)
}

fn write(connection: &mut PgConnection, row: &Row) -> QueryResult<()> {
    diesel::update(users::table.find(row.id))
        .set((
            users::username_folded.eq(canonical(&row.username)),
            users::email_folded.eq(row.email.as_deref().map(canonical)),
        ))
        .execute(connection)?;
    for typed in row.typed() {
        user::insert_aliases(connection, row.id, &canonical(typed), &aliases(typed))?;
    }
    Ok(())
}
