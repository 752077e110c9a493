//! How often things happened, day by day.

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date, Integer, Text};

/// How often something happened on a day (UTC).
#[derive(Clone, Debug, QueryableByName)]
pub struct DayCount {
    /// The day.
    #[diesel(sql_type = Date)]
    pub day: NaiveDate,
    /// What.
    #[diesel(sql_type = Text)]
    pub what: String,
    /// How often.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

/// How often events of these types happened on each of the last days, today among them; days on which nothing happened
/// are left out.
///
/// # Errors
/// PostgreSQL's.
pub fn count_events(connection: &mut PgConnection, types: &[&str], days: i32) -> QueryResult<Vec<DayCount>> {
    diesel::sql_query(
        "SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, type AS what, count(*) AS count FROM audit_events \
         WHERE type = ANY($1) AND occurred_at >= ((now() AT TIME ZONE 'UTC')::date - $2 + 1) AT TIME ZONE 'UTC' \
         GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .bind::<Array<Text>, _>(types)
    .bind::<Integer, _>(days)
    .load(connection)
}
