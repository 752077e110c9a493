//! Reads the wall clock. No other module reads it, so that tests can move time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};

/// Formats a time for programs and commands (RFC 3339, UTC, whole seconds).
#[must_use]
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The wall clock, truncated to microseconds like PostgreSQL's. Clones share their offset.
#[derive(Clone, Debug)]
pub struct Clock {
    offset_micros: Arc<AtomicI64>,
    started: Instant,
    /// The time by which the clock was moved forward since then. It never decreases.
    skipped_micros: Arc<AtomicU64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { offset_micros: Arc::default(), started: Instant::now(), skipped_micros: Arc::default() }
    }
}

impl Clock {
    /// Returns the current time.
    #[must_use]
    #[allow(clippy::disallowed_methods)] // the one place
    pub fn now(&self) -> DateTime<Utc> {
        let offset = TimeDelta::microseconds(self.offset_micros.load(Ordering::Relaxed));
        (Utc::now() + offset).trunc_subsecs(6)
    }

    /// Returns the time since this clock was created. Changes of the system clock do not affect it.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed() + Duration::from_micros(self.skipped_micros.load(Ordering::Relaxed))
    }

    /// Moves this clock and its clones relative to the system clock, forward or back.
    pub fn advance(&self, by: TimeDelta) {
        let by = by.num_microseconds().unwrap_or(0);
        self.offset_micros.fetch_add(by, Ordering::Relaxed);
        self.skipped_micros.fetch_add(u64::try_from(by).unwrap_or(0), Ordering::Relaxed);
    }
}
