//! Models of what several threads decide together. shuttle runs each in many orders of its threads. Only
//! `blocking/sync.rs` differs from the released files. Each model must find a fault that is planted into
//! those files.

#![allow(dead_code, unreachable_pub, clippy::expect_used, clippy::panic, missing_docs)]

mod batch;
mod blocking;
#[path = "../../src/cache/tickets.rs"]
mod cached;
mod planted;
mod pool;
mod tickets;

use planted::Fault;

/// The number of orders that are tried of each kind: random ones, and random ones that switch threads at few
/// places.
const ORDERS: usize = 2_000;
/// The number of these places.
const CHANGES: usize = 3;

/// Tries the model in many orders. Panics if one of them fails, or if threads wait forever.
fn check(model: fn()) {
    shuttle::check_random(model, ORDERS);
    shuttle::check_pct(model, ORDERS, CHANGES);
}

/// Checks that the model finds this fault when it is planted.
fn finds(fault: Fault, model: fn()) {
    let found = planted::with(fault, || std::panic::catch_unwind(|| check(model)));
    assert!(found.is_err(), "the model does not find {fault:?}");
}
