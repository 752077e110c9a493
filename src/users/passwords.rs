//! Verifies and hashes passwords on a bounded thread pool. It never blocks an async thread, and no database
//! connection is held meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::password::{self, InvalidHash, PasswordError, PasswordHash, PasswordPolicy, PlainPassword};
use crate::blocking::{BlockingError, BlockingPool, Claim, Lane, LaneLimits, QueueLimits};

/// The longest time that a request waits for its hash, including the queue.
const DEADLINE: Duration = Duration::from_secs(10);
/// The number of hashes that may be queued per thread. Beyond that, sign-ins are refused as overload.
const QUEUE_PER_THREAD: usize = 16;

/// Verifies and hashes passwords. Clones share the threads.
#[derive(Clone, Debug)]
pub struct Passwords {
    policy: PasswordPolicy,
    cost: u32,
    /// The highest cost in use. Every failed check takes this much time.
    highest_cost: Arc<AtomicU32>,
    verified: Arc<AtomicU64>,
    threads: BlockingPool,
}

/// The reason why a password could not be hashed or verified.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The queue is full, or the deadline has passed.
    #[error("too many passwords are being hashed")]
    Overloaded,
    /// A stored hash has an unknown format. This is a server error.
    #[error("a stored password hash has an unknown format")]
    InvalidHash,
}

impl From<BlockingError> for HashError {
    fn from(error: BlockingError) -> Self {
        match error {
            BlockingError::QueueFull(_) | BlockingError::DeadlinePassed(_) => Self::Overloaded,
            BlockingError::Panicked(_) => Self::InvalidHash,
        }
    }
}

/// A successful verification.
#[derive(Debug)]
pub struct Verified {
    /// A new hash, if the stored one has an outdated cost or format.
    pub upgraded: Option<PasswordHash>,
}

/// The outcome of [`Passwords::hash_new`].
#[derive(Debug)]
pub enum NewHash {
    /// The hash of an acceptable password.
    Made(PasswordHash),
    /// Every requirement that the password violates.
    Refused(Vec<PasswordError>),
}

/// Reserves a quarter of the queue for users who are signed in. Another quarter is for them and for sign-ins
/// from known addresses.
fn limits(threads: usize) -> QueueLimits {
    let waiting = threads * QUEUE_PER_THREAD;
    let lane = |waiting| LaneLimits { running: threads, running_per_party: threads, waiting };
    QueueLimits::new(threads, waiting)
        .with_lane(Lane::KnownAddress, lane(waiting / 4 * 3))
        .with_lane(Lane::Ordinary, lane(waiting / 2))
}

impl Passwords {
    /// Creates hashes with `cost`, on `threads` threads.
    #[must_use]
    pub fn new(policy: PasswordPolicy, cost: u32, threads: usize) -> Self {
        let threads = BlockingPool::with_low_priority("hashing", limits(threads));
        let highest_cost = Arc::new(AtomicU32::new(cost));
        Self { policy, cost, highest_cost, verified: Arc::default(), threads }
    }

    /// Records a cost that is in use, so that failures take as long as a check with it.
    pub fn record_cost(&self, cost: u32) {
        self.highest_cost.fetch_max(cost, Ordering::Relaxed);
    }

    #[must_use]
    pub fn policy(&self) -> &PasswordPolicy {
        &self.policy
    }

    /// Verifies a password against a stored hash. A failure takes equally long whether or not a hash exists.
    pub async fn verify(
        &self,
        claim: Claim,
        stored: Option<String>,
        plain: PlainPassword,
    ) -> Result<Option<Verified>, HashError> {
        let (cost, highest) = (self.cost, Arc::clone(&self.highest_cost));
        let verified = Arc::clone(&self.verified);
        let work = move || -> Result<Option<Verified>, InvalidHash> {
            let stored = stored.map(|text| PasswordHash::parse(&text)).transpose()?;
            if let Some(hash) = &stored {
                highest.fetch_max(hash.cost(), Ordering::Relaxed);
            }
            let started = Instant::now();
            verified.fetch_add(1, Ordering::Relaxed);
            let right = password::check(stored.as_ref(), &plain, highest.load(Ordering::Relaxed))?;
            metrics::histogram!("doorward_password_verify_seconds").record(started.elapsed().as_secs_f64());
            let stale = stored.filter(|_| right).filter(|hash| hash.needs_upgrade(cost));
            let upgraded = stale.map(|_| PasswordHash::new(&plain, cost)).transpose()?;
            Ok(right.then_some(Verified { upgraded }))
        };
        self.threads.run(DEADLINE, claim, work).await?.map_err(|_| HashError::InvalidHash)
    }

    /// Returns the number of passwords that this process has verified, right or wrong.
    #[must_use]
    pub fn verified(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }

    /// Checks a new password for an account with these names against the policy, and hashes it if it is
    /// acceptable.
    pub async fn hash_new(
        &self,
        claim: Claim,
        plain: PlainPassword,
        names: Vec<String>,
    ) -> Result<NewHash, HashError> {
        let (cost, policy) = (self.cost, self.policy.clone());
        let work = move || -> Result<NewHash, InvalidHash> {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let errors = policy.find_errors(&plain, &names);
            if errors.is_empty() {
                PasswordHash::new(&plain, cost).map(NewHash::Made)
            } else {
                Ok(NewHash::Refused(errors))
            }
        };
        self.threads.run(DEADLINE, claim, work).await?.map_err(|_| HashError::InvalidHash)
    }

    /// Checks a new password for an account with these names against the policy, without hashing it.
    pub async fn find_errors(
        &self,
        claim: Claim,
        plain: PlainPassword,
        names: Vec<String>,
    ) -> Result<Vec<PasswordError>, HashError> {
        let policy = self.policy.clone();
        let work = move || {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            policy.find_errors(&plain, &names)
        };
        Ok(self.threads.run(DEADLINE, claim, work).await?)
    }

    #[must_use]
    pub fn threads(&self) -> &BlockingPool {
        &self.threads
    }
}
