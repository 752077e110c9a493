//! Reads and writes the rows of the table `attempts`, and decides whether a row throttles an attempt.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Binary, Double, Integer, Text, Timestamptz};

use super::counter::{CountedBy, Counter};
use crate::database::now;
use crate::database::schema::attempts;

/// An attempt without an outcome counts as failed after this time. Its node was killed, or its client
/// disconnected. A hash takes less time, including the queue.
const PENDING_FOR: TimeDelta = TimeDelta::seconds(30);
/// A burst is reported again after this time.
const BURST: TimeDelta = TimeDelta::hours(1);

/// An attempt that was throttled.
#[derive(Clone, Debug)]
pub struct ThrottledAttempt {
    /// The counter that throttles it.
    pub counter: Counter,
    /// The time until the next attempt is allowed.
    pub wait: Duration,
    /// True if only attempts whose outcome is still unknown throttle it.
    pub is_busy: bool,
    /// True if the audit log has this burst.
    pub is_recorded: bool,
    /// The number of correct passwords that the row had counted.
    pub successes: i64,
}

impl ThrottledAttempt {
    /// Returns the kind of counter that throttles the attempt.
    #[must_use]
    pub fn by(&self) -> CountedBy {
        self.counter.by
    }
}

/// A row as it was last written.
#[derive(Queryable, Selectable)]
#[diesel(table_name = attempts, check_for_backend(diesel::pg::Pg))]
pub(crate) struct Row {
    kind: String,
    digest: Vec<u8>,
    level: f64,
    pending: i32,
    counted_at: DateTime<Utc>,
    next_at: DateTime<Utc>,
    noted_at: Option<DateTime<Utc>>,
    free: Option<i32>,
    /// The number of correct passwords.
    pub successes: i64,
}

impl Row {
    /// Returns whether this is the counter's row.
    #[must_use]
    pub(crate) fn is_of(&self, counter: &Counter) -> bool {
        self.kind == counter.by.as_str() && self.digest == counter.digest.as_slice()
    }

    /// Returns the level at `now`. It falls by the number of free attempts per hour.
    #[must_use]
    pub(crate) fn level_at(&self, now: DateTime<Utc>, counter: &Counter) -> f64 {
        let hours = (now - self.counted_at).to_std().unwrap_or_default().as_secs_f64() / 3_600.0;
        (self.level - f64::from(counter.free) * hours).max(0.0)
    }

    /// Returns the wait if the row throttles an attempt.
    #[must_use]
    pub(crate) fn throttled(
        &self,
        counter: &Counter,
        now: DateTime<Utc>,
        longest_wait: Duration,
    ) -> Option<ThrottledAttempt> {
        // A wait beyond the longest means that a clock was set back, so it is ignored.
        let is_wait = |wait: &Duration| !wait.is_zero() && *wait <= longest_wait;
        let wait = (self.next_at(counter, longest_wait) - now).to_std().ok().filter(is_wait)?;
        Some(ThrottledAttempt {
            counter: counter.clone(),
            wait,
            is_busy: self.is_busy(counter.free, now),
            is_recorded: self.noted_at.is_some_and(|noted_at| now - noted_at < BURST),
            successes: self.successes,
        })
    }

    /// Returns the time when the next attempt is allowed. If fewer attempts are free than at the last one,
    /// the wait is computed again with the lower number.
    fn next_at(&self, counter: &Counter, longest_wait: Duration) -> DateTime<Utc> {
        if self.free.is_none_or(|free| free <= counter.free.cast_signed()) {
            return self.next_at;
        }
        self.next_at.max(self.counted_at + wait_after(self.level, counter.free, longest_wait))
    }

    /// Returns whether the next attempt waits only for outcomes that are still unknown.
    fn is_busy(&self, free: u32, now: DateTime<Utc>) -> bool {
        let pending = if now - self.counted_at < PENDING_FOR { self.pending } else { 0 };
        pending > 0 && (self.level - f64::from(pending)).ceil() < f64::from(free)
    }
}

/// Computes the same as the SQL function `attempt_wait`.
fn wait_after(level: f64, free: u32, longest_wait: Duration) -> Duration {
    let beyond = level.ceil() - f64::from(free);
    if beyond < 0.0 {
        return Duration::ZERO;
    }
    Duration::from_secs_f64((beyond + 1.0).min(30.0).exp2()).min(longest_wait)
}

/// Loads the rows of these counters, with the current time.
pub(crate) fn load<'a>(
    connection: &mut PgConnection,
    counters: impl Iterator<Item = &'a Counter>,
) -> QueryResult<Vec<(Row, DateTime<Utc>)>> {
    let mut query = attempts::table.select((Row::as_select(), now())).into_boxed();
    for counter in counters {
        query = query.or_filter(
            attempts::kind.eq(counter.by.as_str()).and(attempts::digest.eq(counter.digest.as_slice())),
        );
    }
    query.load(connection)
}

/// Counts an attempt in a row unless the row throttles it. The level first falls by the time since the last
/// attempt. A wait beyond the longest means that a clock was set back, so it is ignored.
const TAKE: &str = "
    INSERT INTO attempts AS a (kind, digest, level, pending, counted_at, next_at, free)
    VALUES ($1, $2, 1, 1, now(), now() + attempt_wait(1, $3, $4), $3)
    ON CONFLICT (kind, digest) DO UPDATE SET (level, pending, counted_at, next_at, free) = (
        SELECT n.level, n.pending, now(), now() + attempt_wait(n.level, $3, $4), $3
          FROM (SELECT
            1 + greatest(a.level - $3 * greatest(extract(epoch FROM now() - a.counted_at)::float8, 0) / 3600, 0) AS level,
            1 + CASE WHEN a.counted_at > now() - interval '30 s' THEN a.pending ELSE 0 END AS pending) AS n)
     WHERE a.next_at <= now() OR a.next_at > now() + $4 * interval '1 second'
    RETURNING counted_at, level";

/// An attempt as it was counted in a row.
#[derive(QueryableByName)]
pub(crate) struct CountedAttempt {
    #[diesel(sql_type = Timestamptz)]
    pub counted_at: DateTime<Utc>,
    /// The level of the row after the attempt.
    #[diesel(sql_type = Double)]
    pub level: f64,
}

/// Counts an attempt in a row. Returns `None` if the row throttles it.
pub(crate) fn take(
    connection: &mut PgConnection,
    counter: &Counter,
    longest_wait: Duration,
) -> QueryResult<Option<CountedAttempt>> {
    diesel::sql_query(TAKE)
        .bind::<Text, _>(counter.by.as_str())
        .bind::<Binary, _>(counter.digest.as_slice())
        .bind::<Integer, _>(counter.free.cast_signed())
        .bind::<Double, _>(longest_wait.as_secs_f64())
        .get_result(connection)
        .optional()
}

/// Marks the burst of a row as reported, at most once per hour. Returns whether this call did.
pub(crate) fn note(connection: &mut PgConnection, counter: &Counter) -> QueryResult<bool> {
    let row = attempts::table.find((counter.by.as_str(), counter.digest.as_slice()));
    let moment: DateTime<Utc> = diesel::select(now()).get_result(connection)?;
    let unnoted = attempts::noted_at.is_null().or(attempts::noted_at.lt(moment - BURST));
    let recorded = diesel::update(row.filter(unnoted.assume_not_null()))
        .set(attempts::noted_at.eq(moment))
        .execute(connection)?;
    Ok(recorded > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_after_the_free_attempts_up_to_the_maximum() {
        let of = |level, free| wait_after(level, free, Duration::from_secs(900)).as_secs();
        assert_eq!([1.0, 4.0, 5.0, 6.0, 7.0].map(|level| of(level, 5)), [0, 0, 2, 4, 8]);
        assert_eq!([0.0, 0.1, 1.0, 1.1, 4.0].map(|level| of(level, 1)), [0, 2, 2, 4, 16]);
        assert_eq!([14.0, 1e9, f64::INFINITY].map(|level| of(level, 5)), [900, 900, 900]);
    }
}
