//! Counts active sessions per day, for charts.

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Date, Integer};

/// The number of sessions that were live at the end of a day (UTC), or that are live now.
#[derive(Clone, Debug, QueryableByName)]
pub(crate) struct LiveSessions {
    #[diesel(sql_type = Date)]
    pub day: NaiveDate,
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

/// Counts the sessions that were live at the end of each of the last days. For today it counts those live
/// now. It takes one pass over the table, which keeps rows as long as their sessions could have lived.
pub(crate) fn count_live(connection: &mut PgConnection, days: i32) -> QueryResult<Vec<LiveSessions>> {
    diesel::sql_query(
        "WITH today AS (SELECT (now() AT TIME ZONE 'UTC')::date AS day), \
         spans AS (SELECT greatest((created_at AT TIME ZONE 'UTC')::date, today.day - $1 + 1) AS first, \
             (coalesce(ended_at, expires_at) AT TIME ZONE 'UTC')::date AS last, count(*) AS n \
             FROM sessions, today WHERE coalesce(ended_at, expires_at) > now() - $1 * interval '1 day' GROUP BY 1, 2) \
         SELECT each.day, coalesce(sum(n) FILTER (WHERE first <= each.day AND last > each.day), 0)::bigint AS count \
         FROM (SELECT today.day - offsets.back AS day FROM today, generate_series(0, $1 - 1) AS offsets (back)) AS each \
         LEFT JOIN spans ON true GROUP BY each.day ORDER BY each.day",
    )
    .bind::<Integer, _>(days)
    .load(connection)
}
