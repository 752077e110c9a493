//! A note: its row and its queries.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Uuid as SqlUuid};
use uuid::Uuid;

use super::search::{self, Filter};
use crate::database::folded_text::{fold, to_ascii};
use crate::database::now;
use crate::database::schema::{notes, users};
use crate::random;

/// Characters that a title may have.
pub const TITLE_MAX: usize = 200;
/// Characters that a body may have.
pub const BODY_MAX: usize = 20_000;
/// Bytes of titles and bodies after which a page ends: the note that reaches it is its last one.
const PAGE_BYTES: i64 = 512 * 1024;

/// A note with its owner's name.
#[derive(Clone, Debug, Queryable)]
pub struct Note {
    /// UUID version 7.
    pub id: Uuid,
    /// Never empty.
    pub title: String,
    /// May be empty.
    pub body: String,
    /// Whether others may read it.
    pub shared: bool,
    /// Raised by each change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Whose it is.
    pub owner_id: Uuid,
    /// The owner's username.
    pub owner_name: String,
}

/// What may be written into a note.
#[derive(Clone, Debug)]
pub struct Content {
    /// See [`TITLE_MAX`].
    pub title: String,
    /// See [`BODY_MAX`].
    pub body: String,
    /// Whether others may read it.
    pub shared: bool,
}

type Columns = (
    notes::id,
    notes::title,
    notes::body,
    notes::shared,
    notes::version,
    notes::created_at,
    notes::updated_at,
    users::id,
    users::username,
);

const COLUMNS: Columns = (
    notes::id,
    notes::title,
    notes::body,
    notes::shared,
    notes::version,
    notes::created_at,
    notes::updated_at,
    users::id,
    users::username,
);

/// The note of this id.
///
/// # Errors
/// PostgreSQL's.
pub fn find(connection: &mut PgConnection, id: Uuid) -> QueryResult<Option<Note>> {
    notes::table
        .inner_join(users::table)
        .filter(notes::id.eq(id))
        .select(COLUMNS)
        .first(connection)
        .optional()
}

/// A page of notes.
#[derive(Debug)]
pub struct Listed {
    /// The latest made first.
    pub notes: Vec<Note>,
    /// The note before which the next page starts; `None`: this is the last one.
    pub next: Option<Uuid>,
}

/// Lists at most `limit` notes, and no more than fill a page. A page may have fewer, and still be followed by others.
///
/// # Errors
/// PostgreSQL's.
pub fn list(connection: &mut PgConnection, filter: &Filter, limit: usize) -> QueryResult<Listed> {
    // One more than is shown tells whether there is a next page.
    let rows = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
    let mut found = search::find(connection, filter, rows)?;
    let has_more = found.ids.len() > limit;
    found.ids.truncate(limit);
    let last_found = found.ids.last().copied();
    let notes = load_page(connection, found.ids, filter.visible_to)?;
    let last_shown = notes.last().map(|note| note.id);
    let next = if last_shown.is_some_and(|shown| last_found.is_some_and(|found| found < shown)) {
        last_shown
    } else if has_more {
        last_found
    } else {
        found.stopped_at
    };
    Ok(Listed { notes, next })
}

/// Loads the first of these notes that fill a page. It reads again who may see them: that may have changed since.
fn load_page(
    connection: &mut PgConnection,
    ids: Vec<Uuid>,
    visible_to: Option<Uuid>,
) -> QueryResult<Vec<Note>> {
    // The lengths are read without the texts, so that PostgreSQL sends no text that the page has no room for.
    let is_on_page = sql::<Bool>(
        "notes.id IN (SELECT id FROM (SELECT id, sum(octet_length(title) + octet_length(body)) OVER (ORDER BY id DESC \
         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before FROM notes WHERE id = ANY(",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .sql(") AND (shared OR owner_id = coalesce(")
    .bind::<Nullable<SqlUuid>, _>(visible_to)
    .sql(", owner_id))) AS found WHERE coalesce(bytes_before, 0) < ")
    .bind::<BigInt, _>(PAGE_BYTES)
    .sql(")");
    notes::table
        .inner_join(users::table)
        .filter(is_on_page)
        .select(COLUMNS)
        .order(notes::id.desc())
        .load(connection)
}

/// Returns title and body as a search compares them. No needle holds the letter between them: it begins the code of a
/// character, and continues with none.
#[must_use]
pub fn search_text(title: &str, body: &str) -> String {
    [to_ascii(&fold(title)), to_ascii(&fold(body))].join("\nA\n")
}

/// Makes a note, in the caller's transaction. `None`: its owner's account is no more.
///
/// # Errors
/// PostgreSQL's.
pub fn insert(connection: &mut PgConnection, owner_id: Uuid, content: &Content) -> QueryResult<Option<Note>> {
    // A deletion of the account takes turns with this, and other notes do not.
    let owner = users::table.find(owner_id).select(users::id).for_key_share();
    if owner.first::<Uuid>(connection).optional()?.is_none() {
        return Ok(None);
    }
    let id = random::id();
    diesel::insert_into(notes::table)
        .values((
            notes::id.eq(id),
            notes::owner_id.eq(owner_id),
            notes::title.eq(&content.title),
            notes::body.eq(&content.body),
            notes::shared.eq(content.shared),
            notes::search_text.eq(search_text(&content.title, &content.body)),
            notes::created_at.eq(now()),
            notes::updated_at.eq(now()),
        ))
        .execute(connection)?;
    find(connection, id)
}

/// Replaces a note's content, if it is still of this version and this owner's. `None`: it is not.
///
/// # Errors
/// PostgreSQL's.
pub fn update(connection: &mut PgConnection, seen: &Note, content: &Content) -> QueryResult<Option<Note>> {
    let unchanged = notes::version.eq(seen.version).and(notes::owner_id.eq(seen.owner_id));
    let updated = diesel::update(notes::table.find(seen.id))
        .filter(unchanged)
        .set((
            notes::title.eq(&content.title),
            notes::body.eq(&content.body),
            notes::shared.eq(content.shared),
            notes::search_text.eq(search_text(&content.title, &content.body)),
            notes::version.eq(notes::version + 1),
            notes::updated_at.eq(now()),
        ))
        .execute(connection)?;
    if updated == 0 { Ok(None) } else { find(connection, seen.id) }
}

/// Deletes a note, if it is still of this version. `false`: it is not.
///
/// # Errors
/// PostgreSQL's.
pub fn delete(connection: &mut PgConnection, seen: &Note) -> QueryResult<bool> {
    let unchanged = notes::version.eq(seen.version).and(notes::owner_id.eq(seen.owner_id));
    diesel::delete(notes::table.find(seen.id))
        .filter(unchanged)
        .execute(connection)
        .map(|deleted| deleted > 0)
}
