//! Models of what several threads decide together. shuttle runs each in many orders of its threads, over the files that
//! ship: `blocking/sync.rs` alone is another. Each model has to find a fault that is planted into those files.

#![allow(dead_code, unreachable_pub, clippy::expect_used, clippy::panic, missing_docs)]

mod batch;
mod blocking;
#[path = "../../src/cache/tickets.rs"]
mod cached;
mod planted;
mod pool;
mod tickets;

use planted::Fault;

/// Orders that are tried of each kind: random ones, and random ones that change threads at few places.
const ORDERS: usize = 2_000;
/// The number of these places.
const CHANGES: usize = 3;

/// Tries the model in many orders. Panics where one of them fails it, or leaves threads that wait for ever.
fn check(model: fn()) {
    shuttle::check_random(model, ORDERS);
    shuttle::check_pct(model, ORDERS, CHANGES);
}

/// Checks that the model finds the fault once it is planted.
fn finds(fault: Fault, model: fn()) {
    let found = planted::with(fault, || std::panic::catch_unwind(|| check(model)));
    assert!(found.is_err(), "the model does not find {fault:?}");
}
