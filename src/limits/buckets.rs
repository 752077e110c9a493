//! Rate limits that one node keeps in memory, as a token bucket for each address or user. A bucket allows a
//! number of requests at once, and further ones as it refills. The number of buckets is bounded, and the
//! least used ones are dropped.

use std::convert::Infallible;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{NotUntil, Quota, RateLimiter};
use quick_cache::sync::Cache;

use super::network::{self, ClientNetwork};
use crate::clock::Clock;

/// The number of buckets kept for each limit.
const KEPT: usize = 20_000;

/// Monotonic time, which changes of the wall clock do not affect.
#[derive(Clone, Debug)]
struct Monotonic(Clock);

impl GovernorClock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The state of a limit's buckets.
struct Kept<K>(Cache<K, Arc<InMemoryState>>);

impl<K: Hash + Eq + Clone> StateStore for Kept<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let made = || Ok::<_, Infallible>(Arc::default());
        let Ok(state) = self.0.get_or_insert_with(key, made);
        state.measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

/// Token buckets, one for each key.
pub struct Buckets<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, Kept<K>, Monotonic, NoOpMiddleware<Duration>>,
    clock: Monotonic,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    /// Creates buckets that hold `count` and refill in an hour.
    #[must_use]
    pub fn per_hour(count: u32, clock: &Clock) -> Self {
        Self::new(Quota::per_hour(at_least_one(count)), clock)
    }

    /// Creates buckets that hold `count` and refill in a minute.
    #[must_use]
    pub fn per_minute(count: u32, clock: &Clock) -> Self {
        Self::new(Quota::per_minute(at_least_one(count)), clock)
    }

    fn new(quota: Quota, clock: &Clock) -> Self {
        let clock = Monotonic(clock.clone());
        Self { limiter: RateLimiter::new(quota, Kept(Cache::new(KEPT)), clock.clone()), clock }
    }

    /// Takes one from a key's bucket.
    ///
    /// # Errors
    /// If the bucket is empty, the time until it has one again.
    pub fn take(&self, key: &K) -> Result<(), Duration> {
        let wait = |empty: NotUntil<Duration>| empty.wait_time_from(self.clock.now());
        self.limiter.check_key(key).map_err(wait)
    }
}

/// Token buckets of networks. An IPv6 address has one bucket for each prefix length that is limited.
pub struct NetworkBuckets {
    /// From the narrowest networks to the widest.
    by_width: Vec<Buckets<String>>,
}

impl NetworkBuckets {
    /// Creates buckets that refill in a minute. Those of the narrowest networks hold `count`.
    #[must_use]
    pub fn per_minute(count: u32, clock: &Clock) -> Self {
        let of = |count| Buckets::per_minute(count, clock);
        Self { by_width: network::limits_by_width(count).map(of).into() }
    }

    /// Takes one from each bucket, starting with the narrowest network. A request that its bucket refuses
    /// takes nothing from the wider networks.
    ///
    /// # Errors
    /// The network whose bucket is empty, and the time until it has one again.
    pub fn take(&self, network: &ClientNetwork) -> Result<(), (String, Duration)> {
        for (buckets, network) in self.by_width.iter().zip(network.widths()) {
            buckets.take(&network).map_err(|wait| (network, wait))?;
        }
        Ok(())
    }
}

fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn bucket_refills_over_time_independently_of_others() {
        let clock = Clock::default();
        let buckets = Buckets::per_minute(3, &clock);
        assert!((0..3).all(|_| buckets.take(&"one").is_ok()));
        let wait = buckets.take(&"one").expect_err("it is empty");
        assert!(wait > Duration::from_secs(18) && wait <= Duration::from_secs(20), "{wait:?}");
        assert!(buckets.take(&"other").is_ok());
        clock.advance(TimeDelta::seconds(20));
        assert!(buckets.take(&"one").is_ok());
        assert!(buckets.take(&"one").is_err());
    }

    #[test]
    fn ipv6_networks_have_a_bucket_at_each_width() {
        let buckets = NetworkBuckets::per_minute(4, &Clock::default());
        let of = |address: &str| ClientNetwork::of(Some(address));
        let taken = |addresses: &mut dyn Iterator<Item = String>| {
            addresses.filter(|address| buckets.take(&of(address)).is_ok()).count()
        };
        assert_eq!(taken(&mut (0..9).map(|_| "192.0.2.1".to_owned())), 4);
        assert_eq!(taken(&mut (0..9).map(|at| format!("2001:db8:1:1::{at}"))), 4);
        // The /56 allows six, and four are taken. The /48 allows eight.
        assert_eq!(taken(&mut (0..9).map(|at| format!("2001:db8:1:{:x}::", 2 + at))), 2);
        assert_eq!(taken(&mut (0..9).map(|at| format!("2001:db8:1:{:x}00::", 2 + at))), 2);
        let (network, wait) = buckets.take(&of("2001:db8:1:ff00::")).expect_err("the /48 is empty");
        assert!(network == "2001:db8:1::/48" && wait <= Duration::from_secs(8), "{network} {wait:?}");
        assert_eq!(taken(&mut (0..9).map(|_| "2001:db8:2::".to_owned())), 4);
    }

    #[test]
    fn number_of_buckets_is_bounded() {
        let buckets = Buckets::per_hour(1, &Clock::default());
        (0..3 * KEPT).for_each(|key| assert!(buckets.take(&key).is_ok()));
        assert!(buckets.limiter.into_state_store().0.len() <= KEPT);
    }
}
