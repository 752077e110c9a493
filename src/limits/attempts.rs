//! The share of the limits that one node keeps: what it knows to be held up, and buckets of its own.

use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::buckets::{Buckets, NetworkBuckets};
use super::counters::{CountedBy, Held, Limits};
use super::held_by::HeldBy;
use super::unread_answers::UnreadAnswers;
use crate::clock::Clock;

/// Tries that wait here at once; further ones are refused.
const WAITING: usize = 64;
/// How long this node goes by what the database said of a name that is held up: a flood of tries for it is then refused
/// without a query.
const HELD_FOR: Duration = Duration::from_secs(1);
const HELD: usize = 10_000;
/// Bursts that this node tells the audit log of in a minute: one who has a thousand addresses fills it no faster.
const NOTED_PER_MINUTE: u32 = 60;

/// The limits of a node's own.
#[derive(Clone, Copy, Debug)]
pub struct NodeLimits {
    /// Requests that prove nothing, from an address in a minute.
    pub unproven_per_address: u32,
    /// Personal tokens that a user makes in an hour.
    pub tokens_per_user: u32,
}

/// Until when a name is held up, by the clock's time.
#[derive(Clone, Copy)]
struct HeldUntil {
    by: CountedBy,
    until: Duration,
    look_again_at: Duration,
}

/// The limits, and this node's share of the counting.
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
    /// With these limits, by this clock.
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

    /// What this node knows to be held up.
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
