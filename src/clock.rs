//! The only reader of the wall clock, so that a test can move time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// The wall clock, in PostgreSQL's resolution of a microsecond. Clones share one offset.
#[derive(Clone, Debug)]
pub struct Clock {
    offset_micros: Arc<AtomicI64>,
    begun: Instant,
    /// What was added to the time since then. It never falls.
    skipped_micros: Arc<AtomicU64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { offset_micros: Arc::default(), begun: Instant::now(), skipped_micros: Arc::default() }
    }
}

impl Clock {
    /// The present moment.
    #[must_use]
    #[allow(clippy::disallowed_methods)] // the one place
    pub fn now(&self) -> DateTime<Utc> {
        let offset = TimeDelta::microseconds(self.offset_micros.load(Ordering::Relaxed));
        (Utc::now() + offset).trunc_subsecs(6)
    }

    /// The time since this clock was made, which goes on whatever becomes of the wall clock.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed() + Duration::from_micros(self.skipped_micros.load(Ordering::Relaxed))
    }

    /// Moves this clock and its clones forward (or back) against the machine's.
    pub fn advance(&self, by: TimeDelta) {
        let by = by.num_microseconds().unwrap_or(0);
        self.offset_micros.fetch_add(by, Ordering::Relaxed);
        self.skipped_micros.fetch_add(u64::try_from(by).unwrap_or(0), Ordering::Relaxed);
    }
}
