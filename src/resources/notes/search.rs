//! Finds the notes of a list, newest first. A plain list reads indexes in its order; a search also uses an
//! index of trigrams. If trigrams do not help, a search reads a bounded number of rows. The page then ends
//! early and reports where to continue.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;

use crate::database::folded_text::Needle;

/// The conditions of a list. A note must meet all that are set.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only notes that this user may see; `None` for all notes.
    pub visible_to: Option<Uuid>,
    /// Only notes of this user.
    pub owner_id: Option<Uuid>,
    /// Only shared notes if true, only private ones if false.
    pub shared: Option<bool>,
    /// A part of the title or the body.
    pub q: Option<Needle>,
    /// Only notes older than this one, the last of the previous page.
    pub before: Option<Uuid>,
}

/// The number of newest rows that a search reads before it uses the index of trigrams. Frequent text is found
/// there often enough to fill the page.
const RECENT_ROWS: i64 = 1_000;
/// The number of rows that a search reads for a page if trigrams do not help.
const SHORT_ROWS: i64 = 10_000;
/// The number of rows without search text after which a search stops, for one page.
const UNFOLDED_ROWS: usize = 5_000;
/// The number of rows without search text that a search reads at once.
const UNFOLDED_BATCH: i64 = 200;
/// The number of bytes in the text of such rows after which a search stops, for one page.
const UNFOLDED_BYTES: usize = 16 * 1024 * 1024;

/// The notes found for a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Newest first.
    pub ids: Vec<Uuid>,
    /// The note at which the search stopped early. Older notes were not read.
    pub stopped_at: Option<Uuid>,
}

impl Found {
    /// Adds what another part of the search found. The newer stop counts, because only one part has read the
    /// notes before it.
    fn add(&mut self, other: Self) {
        self.ids.extend(other.ids);
        self.stopped_at = self.stopped_at.max(other.stopped_at);
    }

    /// Sorts the notes and keeps the newest `limit`, but none older than the stop.
    fn newest(mut self, limit: i64) -> Self {
        self.ids.sort_unstable_by(|one, other| other.cmp(one));
        self.ids.dedup();
        if let Some(stopped_at) = self.stopped_at {
            self.ids.retain(|id| *id >= stopped_at);
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if self.ids.len() >= limit {
            self.ids.truncate(limit);
            self.stopped_at = None;
        }
        self
    }
}

/// Notes that one index lists in order. The scopes of a filter do not overlap.
struct Scope {
    owner_id: Option<Uuid>,
    shared: bool,
}

impl Scope {
    fn of(filter: &Filter) -> Vec<Self> {
        let mut scopes = Vec::new();
        let sees_private = filter.owner_id.is_none_or(|owner| filter.visible_to.is_none_or(|id| id == owner));
        if filter.shared != Some(true) && sees_private {
            scopes.push(Self { owner_id: filter.owner_id.or(filter.visible_to), shared: false });
        }
        if filter.shared != Some(false) {
            scopes.push(Self { owner_id: filter.owner_id, shared: true });
        }
        scopes
    }

    /// Returns the condition in SQL. `shared` is written out instead of being a parameter, so that PostgreSQL
    /// can use the partial indexes.
    fn condition(&self) -> &'static str {
        match (self.owner_id.is_some(), self.shared) {
            (true, true) => "owner_id = $1 AND shared AND id < $2",
            (true, false) => "owner_id = $1 AND NOT shared AND id < $2",
            (false, true) => "$1 IS NULL AND shared AND id < $2",
            (false, false) => "$1 IS NULL AND NOT shared AND id < $2",
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

#[derive(QueryableByName)]
struct Unfolded {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    title: String,
    #[diesel(sql_type = Text)]
    body: String,
}

/// Returns the newest `limit` notes that match the filter.
pub fn find(connection: &mut PgConnection, filter: &Filter, limit: i64) -> QueryResult<Found> {
    let before = filter.before.unwrap_or(Uuid::max());
    let mut found = Found::default();
    for scope in Scope::of(filter) {
        match &filter.q {
            None => found.add(find_newest(connection, &scope, before, limit)?),
            Some(needle) => {
                let search = Search { scope: &scope, before, needle, limit };
                found.add(search.find_folded(connection)?);
                found.add(search.find_unfolded(connection)?);
            }
        }
    }
    Ok(found.newest(limit))
}

fn find_newest(connection: &mut PgConnection, scope: &Scope, before: Uuid, limit: i64) -> QueryResult<Found> {
    let query = format!("SELECT id FROM notes WHERE {} ORDER BY id DESC LIMIT $3", scope.condition());
    let rows: Vec<Row> = diesel::sql_query(query)
        .bind::<Nullable<SqlUuid>, _>(scope.owner_id)
        .bind::<SqlUuid, _>(before)
        .bind::<BigInt, _>(limit)
        .load(connection)?;
    Ok(Found { ids: ids(rows), stopped_at: None })
}

fn ids(rows: Vec<Row>) -> Vec<Uuid> {
    rows.into_iter().map(|row| row.id).collect()
}

struct Search<'a> {
    scope: &'a Scope,
    before: Uuid,
    needle: &'a Needle,
    limit: i64,
}

impl Search<'_> {
    fn find_folded(&self, connection: &mut PgConnection) -> QueryResult<Found> {
        let is_indexed = self.needle.has_trigrams();
        let rows = if is_indexed { RECENT_ROWS } else { SHORT_ROWS };
        let ids = self.find_recent(connection, rows)?;
        if ids.len() as i64 >= self.limit {
            return Ok(Found { ids, stopped_at: None });
        }
        if is_indexed {
            return Ok(Found { ids: self.find_by_trigrams(connection)?, stopped_at: None });
        }
        Ok(Found { ids, stopped_at: self.find_end(connection, rows)? })
    }

    /// Searches the newest `rows` notes, newest first, and stops after `limit` matches.
    fn find_recent(&self, connection: &mut PgConnection, rows: i64) -> QueryResult<Vec<Uuid>> {
        let query = format!(
            "SELECT id FROM (SELECT id, search_text FROM notes WHERE {} ORDER BY id DESC LIMIT $3) AS recent \
             WHERE search_text LIKE $4 ORDER BY id DESC LIMIT $5",
            self.scope.condition()
        );
        let found: Vec<Row> = diesel::sql_query(query)
            .bind::<Nullable<SqlUuid>, _>(self.scope.owner_id)
            .bind::<SqlUuid, _>(self.before)
            .bind::<BigInt, _>(rows)
            .bind::<Text, _>(self.needle.pattern())
            .bind::<BigInt, _>(self.limit)
            .load(connection)?;
        Ok(ids(found))
    }

    /// Returns the last of the newest `rows` rows; `None` if there are fewer.
    fn find_end(&self, connection: &mut PgConnection, rows: i64) -> QueryResult<Option<Uuid>> {
        let query = format!(
            "SELECT id FROM notes WHERE {} ORDER BY id DESC OFFSET $3 LIMIT 1",
            self.scope.condition()
        );
        let end: Option<Row> = diesel::sql_query(query)
            .bind::<Nullable<SqlUuid>, _>(self.scope.owner_id)
            .bind::<SqlUuid, _>(self.before)
            .bind::<BigInt, _>(rows - 1)
            .get_result(connection)
            .optional()?;
        Ok(end.map(|row| row.id))
    }

    /// Searches with the index of trigrams. The inner query hides the limit from the planner, which would
    /// otherwise read all notes in order even if few match.
    fn find_by_trigrams(&self, connection: &mut PgConnection) -> QueryResult<Vec<Uuid>> {
        let query = format!(
            "WITH found AS MATERIALIZED (SELECT id FROM notes WHERE {} AND search_text LIKE $3) \
             SELECT id FROM found ORDER BY id DESC LIMIT $4",
            self.scope.condition()
        );
        let found: Vec<Row> = diesel::sql_query(query)
            .bind::<Nullable<SqlUuid>, _>(self.scope.owner_id)
            .bind::<SqlUuid, _>(self.before)
            .bind::<Text, _>(self.needle.pattern())
            .bind::<BigInt, _>(self.limit)
            .load(connection)?;
        Ok(ids(found))
    }

    /// Searches the rows that have no search text yet. Folds their text here.
    fn find_unfolded(&self, connection: &mut PgConnection) -> QueryResult<Found> {
        let mut found = Found::default();
        let (mut before, mut rows, mut bytes) = (self.before, 0, 0);
        loop {
            let batch = self.read_unfolded(connection, before)?;
            let Some(last) = batch.last() else { return Ok(found) };
            before = last.id;
            rows += batch.len();
            for row in batch {
                bytes += row.title.len() + row.body.len();
                if self.needle.is_in(&row.title) || self.needle.is_in(&row.body) {
                    found.ids.push(row.id);
                }
            }
            if found.ids.len() as i64 >= self.limit {
                found.ids.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
                return Ok(found);
            }
            if rows >= UNFOLDED_ROWS || bytes >= UNFOLDED_BYTES {
                found.stopped_at = Some(before);
                return Ok(found);
            }
        }
    }

    fn read_unfolded(&self, connection: &mut PgConnection, before: Uuid) -> QueryResult<Vec<Unfolded>> {
        let query = format!(
            "SELECT id, title, body FROM notes WHERE {} AND search_text IS NULL ORDER BY id DESC LIMIT $3",
            self.scope.condition()
        );
        diesel::sql_query(query)
            .bind::<Nullable<SqlUuid>, _>(self.scope.owner_id)
            .bind::<SqlUuid, _>(before)
            .bind::<BigInt, _>(UNFOLDED_BATCH)
            .load(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ids: &[u128], stopped_at: Option<u128>) -> Found {
        let of = Uuid::from_u128;
        Found { ids: ids.iter().copied().map(of).collect(), stopped_at: stopped_at.map(of) }
    }

    #[test]
    fn page_ends_where_any_part_of_the_search_stopped() {
        for (parts, limit, expected) in [
            (vec![found(&[9, 7], None), found(&[8], None)], 5, found(&[9, 8, 7], None)),
            (vec![found(&[9, 7], None), found(&[8], Some(8))], 5, found(&[9, 8], Some(8))),
            (vec![found(&[9, 3], Some(2)), found(&[8, 5], Some(5))], 5, found(&[9, 8, 5], Some(5))),
            (vec![found(&[9, 8], None), found(&[], Some(4))], 2, found(&[9, 8], None)),
            (vec![found(&[9, 8], None), found(&[8], None)], 5, found(&[9, 8], None)),
        ] {
            let mut sum = Found::default();
            parts.into_iter().for_each(|part| sum.add(part));
            assert_eq!(sum.newest(limit), expected);
        }
    }

    #[test]
    fn scopes_cover_exactly_the_visible_notes() {
        let me = Uuid::from_u128(1);
        let scopes = |filter: Filter| -> Vec<(Option<Uuid>, bool)> {
            Scope::of(&filter).into_iter().map(|scope| (scope.owner_id, scope.shared)).collect()
        };
        let seen = Filter { visible_to: Some(me), ..Filter::default() };
        assert_eq!(scopes(Filter::default()), [(None, false), (None, true)]);
        assert_eq!(scopes(seen.clone()), [(Some(me), false), (None, true)]);
        assert_eq!(scopes(Filter { shared: Some(true), ..seen.clone() }), [(None, true)]);
        assert_eq!(scopes(Filter { shared: Some(false), ..seen.clone() }), [(Some(me), false)]);
        let own = Filter { owner_id: Some(me), ..seen.clone() };
        assert_eq!(scopes(own), [(Some(me), false), (Some(me), true)]);
        let others = Filter { owner_id: Some(Uuid::from_u128(2)), ..seen };
        assert_eq!(scopes(others), [(Some(Uuid::from_u128(2)), true)]);
    }
}
