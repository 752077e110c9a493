//! Holds the rate limits and the part of them that one node counts in memory.

use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::buckets::{Buckets, NetworkBuckets};
use super::counters::{CountedBy, Held, Limits};
use super::held_by::HeldBy;
use super::unread_answers::UnreadAnswers;
use crate::clock::Clock;

/// The number of sign-ins that may wait on this node at once for the outcome of others. Further ones are
/// refused.
const WAITING: usize = 64;
/// For this long a node caches that the database throttles a name. A flood of attempts for the name is then
/// refused without a query.
const HELD_FOR: Duration = Duration::from_secs(1);
const HELD: usize = 10_000;
/// The number of bursts per minute that this node records in the audit log. Someone with a thousand addresses
/// cannot fill it faster.
const NOTED_PER_MINUTE: u32 = 60;

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
struct HeldUntil {
    by: CountedBy,
    until: Duration,
    look_again_at: Duration,
}

/// The limits and this node's counters.
pub struct Attempts {
    pub limits: Limits,
    clock: Clock,
    /// By folded name and network.
    held: Cache<(String, String), HeldUntil>,
    pub unproven: NetworkBuckets,
    pub tokens: Buckets<Uuid>,
    pub waiting: Semaphore,
    pub bursts: Buckets<(HeldBy, String)>,
    pub noted: Buckets<()>,
    pub unread_answers: UnreadAnswers,
}

impl Attempts {
    #[must_use]
    pub fn new(limits: Limits, of_node: NodeLimits, clock: &Clock) -> Self {
        Self {
            limits,
            clock: clock.clone(),
            held: Cache::new(HELD),
            unproven: NetworkBuckets::per_minute(of_node.unproven_per_address, clock),
            tokens: Buckets::per_hour(of_node.tokens_per_user, clock),
            waiting: Semaphore::new(WAITING),
            bursts: Buckets::per_hour(1, clock),
            noted: Buckets::per_minute(NOTED_PER_MINUTE, clock),
            unread_answers: UnreadAnswers::default(),
        }
    }

    /// Returns the limit that throttles the name, and the wait, if this node has them cached.
    pub fn find_held(&self, key: &(String, String)) -> Option<(CountedBy, Duration)> {
        let held = self.held.get(key)?;
        let now = self.clock.elapsed();
        (now < held.look_again_at).then(|| (held.by, held.until.saturating_sub(now)))
    }

    pub fn remember_held(&self, key: (String, String), held: &Held) {
        let now = self.clock.elapsed();
        let until = now + held.wait;
        let look_again_at = until.min(now + HELD_FOR);
        self.held.insert(key, HeldUntil { by: held.by(), until, look_again_at });
    }
}
