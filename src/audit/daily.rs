//! Counts audit events per day.

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date, Integer, Text};

use super::event_type::EventType;

/// The number of times that something happened on a day (UTC).
#[derive(Clone, Debug, QueryableByName)]
pub(crate) struct DayCount {
    #[diesel(sql_type = Date)]
    pub day: NaiveDate,
    /// The type of event, or the code of the refusal.
    #[diesel(sql_type = Text)]
    pub what: String,
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

/// Counts events of these types on each of the last days, including today. Days without events are left out.
pub(crate) fn count_events(
    connection: &mut PgConnection,
    types: &[EventType],
    days: i32,
) -> QueryResult<Vec<DayCount>> {
    diesel::sql_query(
        "SELECT (occurred_at AT TIME ZONE 'UTC')::date AS day, type AS what, count(*) AS count FROM audit_events \
         WHERE type = ANY($1) AND occurred_at >= ((now() AT TIME ZONE 'UTC')::date - $2 + 1) AT TIME ZONE 'UTC' \
         GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .bind::<Array<Text>, _>(types)
    .bind::<Integer, _>(days)
    .load(connection)
}
