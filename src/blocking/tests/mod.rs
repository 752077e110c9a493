//! Tests of the pools and their queues. They are separate files, because `tests/models/` compiles the tested
//! files too.

mod batch;
mod fair_queue;
mod pool;

use std::time::Duration;

use super::fair_queue::Party;
use super::{Claim, Lane};

const LONG: Duration = Duration::from_secs(20);

fn claim(party: u64) -> Claim {
    Claim::new(Lane::Ordinary, Party::of_hash(party))
}
