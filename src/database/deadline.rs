//! Limits how long a request waits for the database. All database calls of one request share the deadline of
//! a single call.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::failure::DatabaseError;
use crate::blocking::BlockingError;

/// The time that a request may wait for all of its database work, including queueing. It is also the deadline
/// of a call outside a request.
const DEADLINE: Duration = Duration::from_secs(4);
/// The minimum time for a call that comes late in its request, if the earlier time was not spent on the
/// database.
const LEAST: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// The time that the current request has waited so far.
    static WAITED: Cell<TimeWaited>;
}

#[derive(Clone, Copy)]
struct TimeWaited {
    /// The time that all database calls together may wait.
    deadline: Duration,
    /// The time of the request's first database call.
    since: Option<Instant>,
    /// The time spent on the database alone.
    time: Duration,
}

impl TimeWaited {
    fn nothing_of(deadline: Duration) -> Self {
        Self { deadline, since: None, time: Duration::ZERO }
    }

    /// Returns the time left for the next call. Other work of the request, such as a password hash, counts
    /// too, but leaves at least [`LEAST`].
    fn time_left(&self) -> Duration {
        let left = self.deadline.saturating_sub(self.since.map_or(Duration::ZERO, |since| since.elapsed()));
        left.max(LEAST.min(self.deadline.saturating_sub(self.time)))
    }
}

/// Serves a request with one deadline for all of its database calls together.
pub async fn within_one_deadline<T>(request: impl Future<Output = T>) -> T {
    within(DEADLINE, request).await
}

/// Runs work whose database calls together wait no longer than `deadline`.
pub async fn within<T>(deadline: Duration, work: impl Future<Output = T>) -> T {
    WAITED.scope(Cell::new(TimeWaited::nothing_of(deadline)), work).await
}

/// Returns how long the next database call may wait.
#[must_use]
pub fn time_left() -> Duration {
    WAITED.try_with(|waited| waited.get().time_left()).unwrap_or(DEADLINE)
}

/// Records that a call of this request waited from `since` until now.
fn record_wait(since: Instant) {
    let _ = WAITED.try_with(|waited| {
        let TimeWaited { deadline, since: first, time } = waited.get();
        waited.set(TimeWaited { deadline, since: first.or(Some(since)), time: time + since.elapsed() });
    });
}

/// Runs a call within the request's remaining database time.
pub(super) async fn within_time_left<T, W>(call: impl FnOnce(Duration) -> W) -> Result<T, DatabaseError>
where
    W: Future<Output = Result<T, BlockingError>>,
{
    let (started, patience) = (Instant::now(), time_left());
    if patience.is_zero() {
        return Err(BlockingError::DeadlinePassed("database").into());
    }
    let done = call(patience).await;
    record_wait(started);
    Ok(done?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn request_shares_one_deadline_with_a_minimum_after_hashing() {
        let long_ago = Instant::now().checked_sub(2 * DEADLINE);
        assert_eq!(time_left(), DEADLINE);
        within_one_deadline(async {
            record_wait(Instant::now());
            assert!(time_left() <= DEADLINE && time_left() > LEAST);
            let waited_for =
                |time| WAITED.with(|waited| waited.set(TimeWaited { since: long_ago, time, ..waited.get() }));
            waited_for(Duration::ZERO);
            assert_eq!(time_left(), LEAST, "it hashed");
            waited_for(DEADLINE);
            assert_eq!(time_left(), Duration::ZERO, "it waited for the database");
        })
        .await;
        let short = Duration::from_millis(300);
        within(short, async { assert_eq!(time_left(), short) }).await;
    }
}
