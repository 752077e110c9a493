//! Counts refusals by code. The counts are collected in memory and written in batches, summed over all nodes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Text};

use super::daily::DayCount;
use crate::database::{Database, DatabaseError};

/// Counts that are not written yet. Clones share them. The number of codes is fixed, so they stay small.
#[derive(Clone, Debug, Default)]
pub struct RefusalCounts {
    counted: Arc<Mutex<BTreeMap<&'static str, i64>>>,
}

impl RefusalCounts {
    /// Counts one refusal.
    pub fn count(&self, code: &'static str) {
        *self.lock().entry(code).or_default() += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, i64>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the counts. Counts that could not be written stay for the next call.
    ///
    /// # Errors
    /// The database's. No count is lost.
    pub async fn flush(&self, database: &Database) -> Result<(), DatabaseError> {
        let counted = std::mem::take(&mut *self.lock());
        if counted.is_empty() {
            return Ok(());
        }
        let rows = counted.clone();
        let written = database.run(move |connection| write(connection, &rows)).await;
        if written.is_err() {
            let mut lock = self.lock();
            for (code, count) in counted {
                *lock.entry(code).or_default() += count;
            }
        }
        written
    }
}

/// Writes in the order of the codes, so that two nodes lock the rows in the same order.
fn write(connection: &mut PgConnection, counted: &BTreeMap<&'static str, i64>) -> QueryResult<()> {
    let (codes, counts): (Vec<&str>, Vec<i64>) = counted.iter().map(|(code, count)| (*code, *count)).unzip();
    diesel::sql_query(
        "INSERT INTO refusal_counts (day, code, count) \
         SELECT (now() AT TIME ZONE 'UTC')::date, code, count FROM unnest($1, $2) AS counted (code, count) \
         ORDER BY code \
         ON CONFLICT (day, code) DO UPDATE SET count = refusal_counts.count + excluded.count",
    )
    .bind::<Array<Text>, _>(codes)
    .bind::<Array<BigInt>, _>(counts)
    .execute(connection)
    .map(|_| ())
}

/// Returns the counts of the last days, including today. Within a day, the most frequent code is first.
pub(crate) fn list(connection: &mut PgConnection, days: i32) -> QueryResult<Vec<DayCount>> {
    diesel::sql_query(
        "SELECT day, code AS what, count FROM refusal_counts \
         WHERE day > (now() AT TIME ZONE 'UTC')::date - $1 ORDER BY day, count DESC, code",
    )
    .bind::<Integer, _>(days)
    .load(connection)
}
