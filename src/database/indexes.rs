//! Indexes that are made beside the running service: large tables must take writes meanwhile. A migration cannot make them
//! well, since one that is broken off leaves an invalid index behind, and some need an extension.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::without_timeout;

/// An index, and whether it needs `pg_trgm`.
struct Index {
    name: &'static str,
    definition: &'static str,
    by_trigrams: bool,
}

const INDEXES: [Index; 9] = [
    Index {
        name: "notes_by_owner_and_sharing",
        definition: "ON notes (owner_id, shared, id DESC)",
        by_trigrams: false,
    },
    Index { name: "notes_by_sharing", definition: "ON notes (shared, id DESC)", by_trigrams: false },
    Index {
        name: "notes_unfolded_by_owner",
        definition: "ON notes (owner_id, shared, id DESC) WHERE search_text IS NULL",
        by_trigrams: false,
    },
    Index {
        name: "notes_unfolded",
        definition: "ON notes (shared, id DESC) WHERE search_text IS NULL",
        by_trigrams: false,
    },
    Index {
        name: "notes_private_trigrams",
        definition: "ON notes USING gin (search_text gin_trgm_ops) WHERE NOT shared AND search_text IS NOT NULL",
        by_trigrams: true,
    },
    Index {
        name: "notes_shared_trigrams",
        definition: "ON notes USING gin (search_text gin_trgm_ops) WHERE shared AND search_text IS NOT NULL",
        by_trigrams: true,
    },
    Index {
        name: "users_with_spellings",
        definition: "ON users (id) WHERE (username_folded LIKE '%@%xn--%' OR email_folded LIKE '%@%xn--%') \
                     OR (username_folded LIKE '%@%' AND octet_length(username_folded) <> length(username_folded)) \
                     OR octet_length(email_folded) <> length(email_folded)",
        by_trigrams: false,
    },
    Index {
        name: "users_username_trigrams",
        definition: "ON users USING gin (username_folded gin_trgm_ops)",
        by_trigrams: true,
    },
    Index {
        name: "users_email_trigrams",
        definition: "ON users USING gin (email_folded gin_trgm_ops)",
        by_trigrams: true,
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
    if missing.iter().any(|index| index.by_trigrams) {
        statements.push("CREATE EXTENSION IF NOT EXISTS pg_trgm".to_owned());
    }
    statements.extend(missing.into_iter().flat_map(Index::statements));
    Ok(statements)
}

/// Returns whether [`make_missing`] would make any.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn is_any_missing(connection: &mut PgConnection) -> QueryResult<bool> {
    find_makeable(connection).map(|indexes| !indexes.is_empty())
}

/// Makes the indexes that are missing, as far as the database has what they need. Returns how many it made.
///
/// # Errors
/// PostgreSQL's.
pub(super) fn make_missing(connection: &mut PgConnection) -> QueryResult<usize> {
    let indexes = find_makeable(connection)?;
    without_timeout(connection)?;
    diesel::sql_query(PATIENCE).execute(connection)?;
    let made = indexes.iter().try_fold(0, |made, index| {
        for statement in index.statements() {
            diesel::sql_query(statement).execute(connection)?;
        }
        Ok(made + 1)
    });
    diesel::sql_query(PATIENCE_BEFORE).execute(connection)?;
    made
}

fn find_makeable(connection: &mut PgConnection) -> QueryResult<Vec<&'static Index>> {
    let missing = find_missing(connection)?;
    if missing.iter().all(|index| !index.by_trigrams) {
        return Ok(missing);
    }
    let extension = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') AS installed";
    let found: Installed = diesel::sql_query(extension).get_result(connection)?;
    Ok(missing.into_iter().filter(|index| found.installed || !index.by_trigrams).collect())
}

fn find_missing(connection: &mut PgConnection) -> QueryResult<Vec<&'static Index>> {
    let valid: Vec<Name> = diesel::sql_query(
        "SELECT relname::text AS name FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid \
         WHERE indrelid IN (to_regclass('users'), to_regclass('notes')) AND indisvalid",
    )
    .load(connection)?;
    let is_there = |index: &Index| valid.iter().any(|found| found.name == index.name);
    Ok(INDEXES.iter().filter(|index| !is_there(index)).collect())
}

impl Index {
    /// An index whose making was broken off exists, and is not valid.
    fn statements(&self) -> [String; 2] {
        let Self { name, definition, .. } = self;
        [
            format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"),
            format!("CREATE INDEX CONCURRENTLY {name} {definition}"),
        ]
    }
}
