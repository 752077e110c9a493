//! Creates indexes while the service runs, because large tables must accept writes meanwhile. A migration is
//! unsuitable. It holds its locks until it ends, an interrupted one leaves an invalid index, and some indexes
//! need an extension.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Text};

use super::without_timeout;

struct Index {
    name: &'static str,
    definition: &'static str,
    need: Need,
}

/// Why an index is needed, and what it needs itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Some reads are slow without the index.
    Fast,
    /// Like [`Need::Fast`], but the index needs the extension `pg_trgm`.
    FastByTrigrams,
    /// The index is unique, and statements name it in `ON CONFLICT`. A server does not serve without it.
    Unique,
}

/// The index that finds notes without folded text.
pub const NOTES_UNFOLDED: &str = "notes_unfolded";
/// The index that finds names that an earlier version may have stored in another form.
pub const USERS_WITH_SPELLINGS: &str = "users_with_spellings";

const INDEXES: [Index; 12] = [
    Index {
        name: "audit_events_repeat_key",
        definition: "ON audit_events (repeat_key) WHERE repeat_key IS NOT NULL",
        need: Need::Unique,
    },
    Index {
        name: "sessions_presentable_until",
        definition: "ON sessions (presentable_until) WHERE presentable_until IS NOT NULL",
        need: Need::Fast,
    },
    Index {
        name: "personal_tokens_revoked_at",
        definition: "ON personal_tokens (revoked_at) WHERE revoked_at IS NOT NULL",
        need: Need::Fast,
    },
    Index {
        name: "notes_by_owner_and_sharing",
        definition: "ON notes (owner_id, shared, id DESC)",
        need: Need::Fast,
    },
    Index { name: "notes_by_sharing", definition: "ON notes (shared, id DESC)", need: Need::Fast },
    Index {
        name: "notes_unfolded_by_owner",
        definition: "ON notes (owner_id, shared, id DESC) WHERE search_text IS NULL",
        need: Need::Fast,
    },
    Index {
        name: NOTES_UNFOLDED,
        definition: "ON notes (shared, id DESC) WHERE search_text IS NULL",
        need: Need::Fast,
    },
    Index {
        name: "notes_private_trigrams",
        definition: "ON notes USING gin (search_text gin_trgm_ops) WHERE NOT shared AND search_text IS NOT NULL",
        need: Need::FastByTrigrams,
    },
    Index {
        name: "notes_shared_trigrams",
        definition: "ON notes USING gin (search_text gin_trgm_ops) WHERE shared AND search_text IS NOT NULL",
        need: Need::FastByTrigrams,
    },
    Index {
        name: USERS_WITH_SPELLINGS,
        definition: "ON users (id) WHERE (username_folded LIKE '%@%xn--%' OR email_folded LIKE '%@%xn--%') \
                     OR (username_folded LIKE '%@%' AND octet_length(username_folded) <> length(username_folded)) \
                     OR octet_length(email_folded) <> length(email_folded)",
        need: Need::Fast,
    },
    Index {
        name: "users_username_trigrams",
        definition: "ON users USING gin (username_folded gin_trgm_ops)",
        need: Need::FastByTrigrams,
    },
    Index {
        name: "users_email_trigrams",
        definition: "ON users USING gin (email_folded gin_trgm_ops)",
        need: Need::FastByTrigrams,
    },
];

/// Limits how long creating one index waits for transactions that were open before it.
const PATIENCE: &str = "SET lock_timeout = '60s'";
const PATIENCE_BEFORE: &str = "SET lock_timeout = '3s'";

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Installed {
    #[diesel(sql_type = Bool)]
    installed: bool,
}

/// Returns the statements that create the missing and invalid indexes. Each must run separately and outside a
/// transaction.
pub fn find_repair(connection: &mut PgConnection) -> QueryResult<Vec<String>> {
    let missing = find_missing(connection)?;
    let mut statements = Vec::new();
    if missing.iter().any(|index| index.need == Need::FastByTrigrams) {
        statements.push("CREATE EXTENSION IF NOT EXISTS pg_trgm".to_owned());
    }
    statements.extend(missing.into_iter().flat_map(Index::statements));
    Ok(statements)
}

/// Returns the names of the indexes.
pub fn names() -> impl Iterator<Item = &'static str> {
    INDEXES.iter().map(|index| index.name)
}

/// Returns whether an index exists and is valid.
pub fn exists(connection: &mut PgConnection, name: &str) -> QueryResult<bool> {
    find_valid(connection, &[name]).map(|found| !found.is_empty())
}

/// The outcome of creating indexes.
#[derive(Debug, Default)]
pub struct MadeIndexes {
    /// The number of indexes that were created.
    pub made: usize,
    /// The names of the indexes that could not be created, with PostgreSQL's errors.
    pub failed: Vec<(&'static str, diesel::result::Error)>,
}

/// Returns whether an index is missing that a server cannot serve without.
pub(super) fn is_any_required_missing(connection: &mut PgConnection) -> QueryResult<bool> {
    find_missing(connection).map(|missing| missing.iter().any(|index| index.need == Need::Unique))
}

/// Creates the missing indexes that a server cannot serve without.
pub(super) fn make_required(connection: &mut PgConnection) -> QueryResult<()> {
    let missing = find_missing(connection)?;
    let required = missing.into_iter().filter(|index| index.need == Need::Unique).collect();
    make_each(connection, required)?.failed.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
}

/// Returns whether [`make_missing`] would create any index.
pub(super) fn is_any_missing(connection: &mut PgConnection) -> QueryResult<bool> {
    find_makeable(connection).map(|indexes| !indexes.is_empty())
}

/// Creates the missing indexes, except those that need an extension the database does not have. A failure
/// does not keep the other indexes from being created.
///
/// # Errors
/// A query fails that does not itself create an index. [`MadeIndexes::failed`] has the errors of single indexes.
pub(super) fn make_missing(connection: &mut PgConnection) -> QueryResult<MadeIndexes> {
    let indexes = find_makeable(connection)?;
    make_each(connection, indexes)
}

fn make_each(connection: &mut PgConnection, indexes: Vec<&'static Index>) -> QueryResult<MadeIndexes> {
    without_timeout(connection)?;
    diesel::sql_query(PATIENCE).execute(connection)?;
    let mut outcome = MadeIndexes::default();
    for index in indexes {
        match index.make(connection) {
            Ok(()) => outcome.made += 1,
            Err(error) => outcome.failed.push((index.name, error)),
        }
    }
    diesel::sql_query(PATIENCE_BEFORE).execute(connection)?;
    Ok(outcome)
}

fn find_makeable(connection: &mut PgConnection) -> QueryResult<Vec<&'static Index>> {
    let missing = find_missing(connection)?;
    if missing.iter().all(|index| index.need != Need::FastByTrigrams) {
        return Ok(missing);
    }
    let extension = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') AS installed";
    let found: Installed = diesel::sql_query(extension).get_result(connection)?;
    Ok(missing.into_iter().filter(|index| found.installed || index.need != Need::FastByTrigrams).collect())
}

fn find_missing(connection: &mut PgConnection) -> QueryResult<Vec<&'static Index>> {
    let valid = find_valid(connection, &INDEXES.map(|index| index.name))?;
    Ok(INDEXES.iter().filter(|index| valid.iter().all(|found| found.name != index.name)).collect())
}

fn find_valid(connection: &mut PgConnection, names: &[&str]) -> QueryResult<Vec<Name>> {
    diesel::sql_query(
        "SELECT name FROM unnest($1) AS name JOIN pg_index ON indexrelid = to_regclass(name) WHERE indisvalid",
    )
    .bind::<Array<Text>, _>(names)
    .load(connection)
}

impl Index {
    /// Returns the statements that create the index. The first drops an invalid index, which an interrupted
    /// creation left.
    fn statements(&self) -> [String; 2] {
        let Self { name, definition, need } = self;
        let unique = if *need == Need::Unique { "UNIQUE " } else { "" };
        [
            format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"),
            format!("CREATE {unique}INDEX CONCURRENTLY {name} {definition}"),
        ]
    }

    fn make(&self, connection: &mut PgConnection) -> QueryResult<()> {
        for statement in self.statements() {
            diesel::sql_query(statement).execute(connection)?;
        }
        Ok(())
    }
}
