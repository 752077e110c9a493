//! A note: its row and its queries.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
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

/// Lists at most `limit` notes. A page of a search may have fewer, and still be followed by others.
///
/// # Errors
/// PostgreSQL's.
pub fn list(connection: &mut PgConnection, filter: &Filter, limit: usize) -> QueryResult<Listed> {
    // One more than is shown tells whether there is a next page.
    let rows = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
    let mut found = search::find(connection, filter, rows)?;
    let has_more = found.ids.len() > limit;
    found.ids.truncate(limit);
    let next = if has_more { found.ids.last().copied() } else { found.stopped_at };
    // Again who may see it: it may have been changed since.
    let mut query = notes::table
        .inner_join(users::table)
        .filter(notes::id.eq_any(found.ids))
        .select(COLUMNS)
        .into_boxed();
    if let Some(user_id) = filter.visible_to {
        query = query.filter(notes::owner_id.eq(user_id).or(notes::shared));
    }
    let notes = query.order(notes::id.desc()).load(connection)?;
    Ok(Listed { notes, next })
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
