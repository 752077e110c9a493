//! Fills in missing search text. Notes lack it if they were created before the column existed, or if a node
//! of an earlier version has written them.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::note::search_text;
use crate::database::{Database, DatabaseError, indexes};

/// The number of notes in a transaction.
const BATCH: usize = 200;
/// The key of the advisory lock: `refold` in ASCII.
const LOCK: i64 = 0x7265_666f_6c64;

#[derive(QueryableByName)]
struct LockResult {
    #[diesel(sql_type = Bool)]
    locked: bool,
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

/// Fills in a batch of notes, newest first. Returns true if there may be more.
///
/// Does nothing while another node is filling in notes. Also does nothing while the index that finds such
/// notes is missing, because each call would read the whole table.
pub async fn run_batch(database: &Database) -> Result<bool, DatabaseError> {
    database.transaction(refold).await.map(|folded| folded >= BATCH)
}

fn refold(connection: &mut PgConnection) -> QueryResult<usize> {
    if !indexes::exists(connection, indexes::NOTES_UNFOLDED)? {
        return Ok(0);
    }
    let mut folded = 0;
    for scope in ["shared", "NOT shared"] {
        let rows = read(connection, scope, BATCH - folded)?;
        if rows.is_empty() {
            continue;
        }
        if !try_lock(connection)? {
            return Ok(0);
        }
        folded += rows.len();
        write(connection, &rows)?;
        if folded >= BATCH {
            break;
        }
    }
    Ok(folded)
}

fn try_lock(connection: &mut PgConnection) -> QueryResult<bool> {
    let lock: LockResult = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked")
        .bind::<BigInt, _>(LOCK)
        .get_result(connection)?;
    Ok(lock.locked)
}

/// Reads and locks rows without search text. Skips rows that another transaction has locked.
fn read(connection: &mut PgConnection, scope: &str, limit: usize) -> QueryResult<Vec<Unfolded>> {
    diesel::sql_query(format!(
        "SELECT id, title, body FROM notes WHERE {scope} AND search_text IS NULL ORDER BY id DESC LIMIT $1 \
         FOR NO KEY UPDATE SKIP LOCKED"
    ))
    .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))
    .load(connection)
}

fn write(connection: &mut PgConnection, rows: &[Unfolded]) -> QueryResult<usize> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let texts: Vec<String> = rows.iter().map(|row| search_text(&row.title, &row.body)).collect();
    diesel::sql_query(
        "UPDATE notes SET search_text = folded.text FROM unnest($1, $2) AS folded (id, text) \
         WHERE notes.id = folded.id",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Text>, _>(texts)
    .execute(connection)
}
