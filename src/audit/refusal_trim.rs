//! Keeps each lane of stored refusals within its bound. The owners with the most rows in a lane lose their
//! oldest ones. If counting the rows takes too long, the lane's oldest rows are deleted.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::refusal_queue::{Lane, fair_share};
use crate::blocking::caller::IPV6_PREFIX;
use crate::database::{Database, DatabaseError};

/// The number of rows that one statement deletes.
const BATCH: usize = 5_000;

/// Returns the SQL expression for the party that a row counts against, which is an
/// [`Owner`](super::refusal_queue::Owner). A credential that was not verified can name any user, so its
/// network counts.
fn owner() -> String {
    format!(
        "CASE WHEN lane <> '{unproven}' AND coalesce(user_id, session_id) IS NOT NULL \
             THEN coalesce(user_id, session_id)::text \
         WHEN address LIKE '%:%' THEN network(set_masklen(address::inet, {IPV6_PREFIX}))::text \
         ELSE coalesce(address, '') END",
        unproven = Lane::Unverified.as_str()
    )
}

#[derive(QueryableByName)]
struct Position {
    #[diesel(sql_type = BigInt)]
    position: i64,
}

#[derive(QueryableByName)]
struct OwnersRows {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Deletes a lane's rows beyond `room`. While the lane is within its bound, the cost does not grow with the
/// table.
pub(super) async fn run(database: &Database, lane: Lane, room: i64) -> Result<(), DatabaseError> {
    let find = move |connection: &mut PgConnection| find_newest_to_go(connection, lane, room);
    if database.run(find).await?.is_none() {
        return Ok(());
    }
    if let Err(error) = trim_owners(database, lane, room).await {
        tracing::debug!(%error, lane = lane.as_str(), "refusals could not be trimmed by owner; deleting the oldest");
    }
    let Some(position) = database.run(find).await? else { return Ok(()) };
    loop {
        let deleted = database.run(move |connection| delete_oldest(connection, lane, position)).await?;
        if deleted < BATCH {
            return Ok(());
        }
    }
}

/// Returns the position of the newest row that a lane has no room for. Comparing the first and last positions
/// is a quick check for lanes with few rows.
pub fn find_newest_to_go(connection: &mut PgConnection, lane: Lane, room: i64) -> QueryResult<Option<i64>> {
    let found: Option<Position> = diesel::sql_query(
        "SELECT position FROM refusals
         WHERE lane = $1 AND (SELECT max(position) - min(position) >= $2 FROM refusals WHERE lane = $1)
         ORDER BY position DESC OFFSET $2 LIMIT 1",
    )
    .bind::<Text, _>(lane.as_str())
    .bind::<BigInt, _>(room)
    .get_result(connection)
    .optional()?;
    Ok(found.map(|found| found.position))
}

/// Deletes the oldest rows of the owners with more than a fair share.
async fn trim_owners(database: &Database, lane: Lane, room: i64) -> Result<(), DatabaseError> {
    let share = database.search(move |connection| find_share(connection, lane, room)).await?;
    database.run(move |connection| delete_beyond(connection, lane, share)).await
}

fn find_share(connection: &mut PgConnection, lane: Lane, room: i64) -> QueryResult<i64> {
    let grouped = format!("SELECT count(*) AS count FROM refusals WHERE lane = $1 GROUP BY {}", owner());
    let rows: Vec<OwnersRows> = diesel::sql_query(grouped).bind::<Text, _>(lane.as_str()).load(connection)?;
    Ok(fair_share(rows.into_iter().map(|rows| rows.count).collect(), room))
}

fn delete_beyond(connection: &mut PgConnection, lane: Lane, share: i64) -> QueryResult<()> {
    diesel::sql_query(format!(
        "DELETE FROM refusals WHERE position IN (
            SELECT position FROM (
                SELECT position, row_number() OVER (PARTITION BY {owner} ORDER BY position DESC) AS number
                FROM refusals WHERE lane = $1) AS numbered
            WHERE number > $2)",
        owner = owner()
    ))
    .bind::<Text, _>(lane.as_str())
    .bind::<BigInt, _>(share.max(1))
    .execute(connection)
    .map(|_| ())
}

fn delete_oldest(connection: &mut PgConnection, lane: Lane, newest: i64) -> QueryResult<usize> {
    diesel::sql_query(
        "DELETE FROM refusals WHERE position IN (
            SELECT position FROM refusals WHERE lane = $1 AND position <= $2 ORDER BY position LIMIT $3)",
    )
    .bind::<Text, _>(lane.as_str())
    .bind::<BigInt, _>(newest)
    .bind::<BigInt, _>(i64::try_from(BATCH).unwrap_or(i64::MAX))
    .execute(connection)
}
