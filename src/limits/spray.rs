//! Detects password spraying, which is wrong passwords from one network for many accounts that were signed in
//! to from there.
//!
//! The row of a network throttles no attempt by itself. Past its limit, each of those accounts has fewer free
//! attempts there. A correct password writes nothing here.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Double, Integer, Text};

use super::counter::{CountedBy, Counter};
use super::network::ClientNetwork;

/// The free attempts per hour for an account at a network past its limit.
pub(crate) const FREE_PAST_LIMIT: u32 = 1;

/// The counter of one network.
#[derive(Clone, Debug)]
pub(crate) struct SprayCounter {
    pub network: String,
    /// The counter's free attempts are the network's limit.
    pub counter: Counter,
}

/// Returns the counters of a client's networks.
#[must_use]
pub(crate) fn counters(network: &ClientNetwork, limit: u32) -> Vec<SprayCounter> {
    let of = |(network, limit): (String, u32)| {
        let counter = Counter::new(CountedBy::Spray, &[&network], limit);
        SprayCounter { network, counter }
    };
    network.with_limits(limit).into_iter().map(of).collect()
}

/// Returns the weight of a failed attempt that raised its account's level to `level`. The first attempt
/// counts in full and later ones less, so that attempts on many names weigh more than repeated
/// attempts on one.
#[must_use]
pub(crate) fn weight(level: f64) -> f64 {
    1.0 / level.max(1.0)
}

const CHARGE: &str = "
    INSERT INTO attempts AS a (kind, digest, level, pending, counted_at, next_at, free)
    VALUES ($1, $2, $4, 0, now(), now(), $3)
    ON CONFLICT (kind, digest) DO UPDATE SET counted_at = now(), free = $3,
        level = $4 + greatest(a.level - $3 * greatest(extract(epoch FROM now() - a.counted_at)::float8, 0) / 3600, 0)
    RETURNING level";

#[derive(QueryableByName)]
struct Charged {
    #[diesel(sql_type = Double)]
    level: f64,
}

/// Adds a failed attempt of this weight to a network's row. Returns whether the row is now past its limit.
pub(crate) fn charge(connection: &mut PgConnection, counter: &Counter, weight: f64) -> QueryResult<bool> {
    let charged: Charged = diesel::sql_query(CHARGE)
        .bind::<Text, _>(counter.by.as_str())
        .bind::<Binary, _>(counter.digest.as_slice())
        .bind::<Integer, _>(counter.free.cast_signed())
        .bind::<Double, _>(weight)
        .get_result(connection)?;
    Ok(is_past(charged.level, counter))
}

/// Returns whether a level is past the counter's limit.
#[must_use]
pub(crate) fn is_past(level: f64, counter: &Counter) -> bool {
    level.ceil() >= f64::from(counter.free)
}
