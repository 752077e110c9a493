//! How long a request waits for the database: all that it asks one after the other may take as long as one call of others.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::failure::DatabaseError;
use crate::blocking::BlockingError;

/// How long a request waits for all of its database work, queueing included; and how long any other call does.
const DEADLINE: Duration = Duration::from_secs(4);
/// How long a call waits at least that comes late in its request, where the database was not what it waited for.
const LEAST: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// What the request that is served here has waited for so far.
    static WAITED: Cell<Waited>;
}

#[derive(Clone, Copy, Default)]
struct Waited {
    /// When it first asked the database.
    since: Option<Instant>,
    /// For the database alone.
    time: Duration,
}

impl Waited {
    /// What it did in between (a hash takes its time) counts too, but for the least that a call needs.
    fn patience(&self) -> Duration {
        let left = DEADLINE.saturating_sub(self.since.map_or(Duration::ZERO, |since| since.elapsed()));
        left.max(LEAST.min(DEADLINE.saturating_sub(self.time)))
    }
}

/// Serves a request: all that it asks of the database one after the other may take as long as one call of others.
pub async fn within_one_deadline<T>(request: impl Future<Output = T>) -> T {
    WAITED.scope(Cell::default(), request).await
}

/// How long the next call here waits for the database.
#[must_use]
pub fn patience() -> Duration {
    WAITED.try_with(|waited| waited.get().patience()).unwrap_or(DEADLINE)
}

/// Notes that a call of this request waited since then.
fn note_waited(since: Instant) {
    let _ = WAITED.try_with(|waited| {
        let Waited { since: first, time } = waited.get();
        waited.set(Waited { since: first.or(Some(since)), time: time + since.elapsed() });
    });
}

/// Waits for a call as long as its request still may.
pub(super) async fn within_patience<T, W>(call: impl FnOnce(Duration) -> W) -> Result<T, DatabaseError>
where
    W: Future<Output = Result<T, BlockingError>>,
{
    let (begun, patience) = (Instant::now(), patience());
    if patience.is_zero() {
        return Err(BlockingError::DeadlinePassed("database").into());
    }
    let done = call(patience).await;
    note_waited(begun);
    Ok(done?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_request_has_one_deadline_and_a_call_after_a_long_hash_some_time() {
        let long_ago = Instant::now().checked_sub(2 * DEADLINE);
        assert_eq!(patience(), DEADLINE);
        within_one_deadline(async {
            note_waited(Instant::now());
            assert!(patience() <= DEADLINE && patience() > LEAST);
            WAITED.with(|waited| waited.set(Waited { since: long_ago, time: Duration::ZERO }));
            assert_eq!(patience(), LEAST, "it hashed");
            WAITED.with(|waited| waited.set(Waited { since: long_ago, time: DEADLINE }));
            assert_eq!(patience(), Duration::ZERO, "it waited for the database");
        })
        .await;
    }
}
