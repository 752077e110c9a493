//! The table `notes`: its rows and its queries.

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

/// The maximum number of characters in a title.
pub const TITLE_MAX: usize = 200;
/// The maximum number of characters in a body.
pub const BODY_MAX: usize = 20_000;
/// The bytes of titles and bodies after which a page ends. The note that reaches this size is the last one of
/// its page.
const PAGE_BYTES: i64 = 512 * 1024;

/// A note with the name of its owner.
#[derive(Clone, Debug, Queryable)]
pub struct Note {
    /// UUID version 7, so that notes sort by creation.
    pub id: Uuid,
    /// Never empty.
    pub title: String,
    /// May be empty.
    pub body: String,
    /// True if other users may read the note.
    pub shared: bool,
    /// Incremented by each change. The entity tag is made of it.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub owner_id: Uuid,
    /// The username of the owner.
    pub owner_name: String,
}

/// The content of a note, as users write it.
#[derive(Clone, Debug)]
pub struct Content {
    /// At most [`TITLE_MAX`] characters.
    pub title: String,
    /// At most [`BODY_MAX`] characters.
    pub body: String,
    /// True if other users may read the note.
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
    /// Newest first.
    pub notes: Vec<Note>,
    /// The note before which the next page starts; `None` on the last page.
    pub next: Option<Uuid>,
}

/// Lists at most `limit` notes, up to the size of a page. A page may have fewer notes although more follow.
pub fn list(connection: &mut PgConnection, filter: &Filter, limit: usize) -> QueryResult<Listed> {
    // One row more than the page shows tells whether there is a next page.
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

/// Loads as many of these notes as fit on a page. Checks again who may see them, since that may have changed
/// since the search.
fn load_page(
    connection: &mut PgConnection,
    ids: Vec<Uuid>,
    visible_to: Option<Uuid>,
) -> QueryResult<Vec<Note>> {
    // PostgreSQL adds up the lengths first, so that it sends no text for which the page has no room.
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

/// Returns the title and the body as a search compares them. No needle matches across the separator, because
/// it has a letter that begins the code of a character and none that continues it.
#[must_use]
pub fn search_text(title: &str, body: &str) -> String {
    [to_ascii(&fold(title)), to_ascii(&fold(body))].join("\nA\n")
}

/// Inserts a note. Must run in a transaction. Returns `None` if the owner's account was deleted.
pub fn insert(connection: &mut PgConnection, owner_id: Uuid, content: &Content) -> QueryResult<Option<Note>> {
    // This lock and a deletion of the account wait for each other. Other inserts do not wait.
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

/// Replaces the content of a note. Returns `None` if the note has another version or owner than `seen`.
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

/// Deletes a note. Returns false if the note has another version or owner than `seen`.
pub fn delete(connection: &mut PgConnection, seen: &Note) -> QueryResult<bool> {
    let unchanged = notes::version.eq(seen.version).and(notes::owner_id.eq(seen.owner_id));
    diesel::delete(notes::table.find(seen.id))
        .filter(unchanged)
        .execute(connection)
        .map(|deleted| deleted > 0)
}
