//! The database's clock as this node last read it. Monotonic time carries it forward, so it does not depend
//! on the node's own wall clock.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Clock;

/// The database's clock. Clones share it.
#[derive(Clone, Debug)]
pub struct DatabaseClock {
    clock: Clock,
    read: Arc<RwLock<Option<Read>>>,
}

#[derive(Clone, Copy, Debug)]
struct Read {
    time: DateTime<Utc>,
    /// The node's monotonic time before the query that read the clock.
    at: Duration,
}

impl DatabaseClock {
    /// Creates a clock without a reading. `clock` provides the monotonic time.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), read: Arc::default() }
    }

    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Stores the time that a query returned. `at` is the monotonic time when the query started. A reading of
    /// a query that started later is kept.
    pub fn set(&self, time: DateTime<Utc>, at: Duration) {
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        if read.is_none_or(|read| read.at <= at) {
            *read = Some(Read { time, at });
        }
    }

    /// Returns the database's time, or `None` if it was never read.
    #[must_use]
    pub fn now(&self) -> Option<DateTime<Utc>> {
        let Read { time, at } = (*self.read.read().unwrap_or_else(PoisonError::into_inner))?;
        let since = TimeDelta::from_std(self.elapsed().saturating_sub(at)).ok()?;
        time.checked_add_signed(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_clock_continues_when_the_node_clock_is_set_back() {
        let clock = Clock::default();
        let database_clock = DatabaseClock::new(&clock);
        assert_eq!(database_clock.now(), None);
        let time = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        database_clock.set(time, database_clock.elapsed());
        clock.advance(TimeDelta::hours(-1));
        let now = database_clock.now().expect("it was read");
        assert!(now >= time && now < time + TimeDelta::minutes(1), "{now}");
        clock.advance(TimeDelta::hours(2));
        assert!(database_clock.now().is_some_and(|now| now >= time + TimeDelta::hours(2)));
        // The reading of a query that started earlier is ignored.
        let before = database_clock.now();
        database_clock.set(DateTime::UNIX_EPOCH, Duration::ZERO);
        assert!(database_clock.now() >= before);
    }
}
