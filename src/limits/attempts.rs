//! Holds the rate limits and the part of them that one node counts in memory.

use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::buckets::{Buckets, NetworkBuckets};
use super::counters::{AttemptLimits, CountedBy, ThrottledAttempt};
use super::throttled_by::ThrottledBy;
use super::unread_answers::UnreadAnswers;
use crate::clock::Clock;

/// The number of sign-ins that may wait on this node at once for the outcome of others. Further ones are
/// refused.
const WAITING: usize = 64;
/// For this long a node caches that the database throttles a name. A flood of attempts for the name is then
/// refused without a query.
const HELD_FOR: Duration = Duration::from_secs(1);
/// The maximum number of throttled names that a node caches.
const HELD: usize = 10_000;
/// The number of bursts per minute that this node records in the audit log. Someone with a thousand addresses
/// cannot fill it faster.
const AUDITED_PER_MINUTE: u32 = 60;

/// The limits that each node counts by itself.
#[derive(Clone, Copy, Debug)]
pub struct NodeLimits {
    /// Requests per minute from an address whose credentials are not verified.
    pub unproven_per_address: u32,
    /// Personal tokens per hour that a user creates.
    pub tokens_per_user: u32,
}

/// A throttled name, with times of the monotonic clock. Until `look_again_at` the database is not asked.
#[derive(Clone, Copy)]
struct ThrottledUntil {
    by: CountedBy,
    until: Duration,
    recheck_at: Duration,
}

/// The limits and this node's counters.
pub struct Attempts {
    pub limits: AttemptLimits,
    clock: Clock,
    /// By folded name and network.
    throttled: Cache<(String, String), ThrottledUntil>,
    pub unverified: NetworkBuckets,
    pub tokens: Buckets<Uuid>,
    pub waiting: Semaphore,
    pub bursts: Buckets<(ThrottledBy, String)>,
    pub audit_bucket: Buckets<()>,
    pub unread_answers: UnreadAnswers,
}

impl Attempts {
    #[must_use]
    pub fn new(limits: AttemptLimits, of_node: NodeLimits, clock: &Clock) -> Self {
        Self {
            limits,
            clock: clock.clone(),
            throttled: Cache::new(HELD),
            unverified: NetworkBuckets::per_minute(of_node.unproven_per_address, clock),
            tokens: Buckets::per_hour(of_node.tokens_per_user, clock),
            waiting: Semaphore::new(WAITING),
            bursts: Buckets::per_hour(1, clock),
            audit_bucket: Buckets::per_minute(AUDITED_PER_MINUTE, clock),
            unread_answers: UnreadAnswers::default(),
        }
    }

    /// Returns the limit that throttles the name, and the wait, if this node has them cached.
    pub fn find_throttled(&self, key: &(String, String)) -> Option<(CountedBy, Duration)> {
        let throttled = self.throttled.get(key)?;
        let now = self.clock.elapsed();
        (now < throttled.recheck_at).then(|| (throttled.by, throttled.until.saturating_sub(now)))
    }

    pub fn remember_throttled(&self, key: (String, String), throttled: &ThrottledAttempt) {
        let now = self.clock.elapsed();
        let until = now + throttled.wait;
        let recheck_at = until.min(now + HELD_FOR);
        self.throttled.insert(key, ThrottledUntil { by: throttled.by(), until, recheck_at });
    }
}
