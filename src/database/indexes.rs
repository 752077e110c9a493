//! Indexes that are made beside the running service: large tables must take writes meanwhile. A migration cannot make them
//! well, since it holds its locks until it ends, one that is broken off leaves an invalid index behind, and some need an
//! extension.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Text};

use super::without_timeout;

/// An index.
struct Index {
    name: &'static str,
    definition: &'static str,
    need: Need,
}

/// The need of an index and for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Without it some reads are slow.
    Fast,
    /// As [`Need::Fast`]. It needs `pg_trgm`.
    FastByTrigrams,
    /// It is unique, and statements name it in `ON CONFLICT`: a server does not serve without it.
    Unique,
}

/// The index that finds notes without folded text.
pub const NOTES_UNFOLDED: &str = "notes_unfolded";
/// The index that finds names which an earlier version may have written in another form.
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

/// How long the making of one waits for transactions that were open before it.
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

/// Returns the statements that make the indexes which are missing or were left invalid, each to be run by itself.
///
/// # Errors
/// PostgreSQL's.
pub fn find_repair(connection: &mut PgConnection) -> QueryResult<Vec<String>> {
    let missing = find_missing(connection)?;
    let mut statements = Vec::new();
    if missing.iter().any(|index| index.need == Need::FastByTrigrams) {
        statements.push("CREATE EXTENSION IF NOT EXISTS pg_trgm".to_owned());
    }
    statements.extend(missing.into_iter().flat_map(Index::statements));
    Ok(statements)
}

/// Returns whether an index exists and is valid.
///
/// # Errors
/// PostgreSQL's.
pub fn exists(connection: &mut PgConnection, name: &str) -> QueryResult<bool> {
    find_valid(connection, &[name]).map(|found| !found.is_empty())
}

/// The outcome of making indexes.
#[derive(Debug, Default)]
pub struct Made {
    /// The number of indexes that were made.
    pub made: usize,
    /// The names of those that could not be made, with PostgreSQL's words.
    pub failed: Vec<(&'static str, diesel::result::Error)>,
}

/// Returns whether an index is missing that a server cannot serve without.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn is_any_required_missing(connection: &mut PgConnection) -> QueryResult<bool> {
    find_missing(connection).map(|missing| missing.iter().any(|index| index.need == Need::Unique))
}

/// Makes the missing indexes that a server cannot serve without.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn make_required(connection: &mut PgConnection) -> QueryResult<()> {
    let missing = find_missing(connection)?;
    let required = missing.into_iter().filter(|index| index.need == Need::Unique).collect();
    make_each(connection, required)?.failed.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
}

/// Returns whether [`make_missing`] would make any.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn is_any_missing(connection: &mut PgConnection) -> QueryResult<bool> {
    find_makeable(connection).map(|indexes| !indexes.is_empty())
}

/// Makes the indexes that are missing, as far as the database has what they need. One that fails does not keep the others
/// from being made.
///
/// # Errors
/// PostgreSQL's, where not even the first can be tried.
pub(super) fn make_missing(connection: &mut PgConnection) -> QueryResult<Made> {
    let indexes = find_makeable(connection)?;
    make_each(connection, indexes)
}

fn make_each(connection: &mut PgConnection, indexes: Vec<&'static Index>) -> QueryResult<Made> {
    without_timeout(connection)?;
    diesel::sql_query(PATIENCE).execute(connection)?;
    let mut outcome = Made::default();
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
    /// An index whose making was broken off exists, and is not valid.
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
