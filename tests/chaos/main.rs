//! Faults, and what is promised under them: real nodes on a PostgreSQL of their own, clients that keep a ledger of every
//! answer, and rounds in which something is killed, cut, filled or stopped. A few rounds of each run with all tests,
//! `make chaos` runs a hundred.

// The pause and resume of a cluster, the signal of a node: of drills to come.
#![allow(dead_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods
)]

mod away;
mod client;
mod crash;
mod cut;
mod drill;
#[path = "../../benches/driver/client.rs"]
mod driver;
mod failover;
mod full;
mod killed;
mod ledger;
mod load;
mod node;
mod postgres;
mod proxy;
mod refused;
#[path = "../process/small_disk.rs"]
mod small_disk;
mod standby;
#[path = "../../benches/driver/wire.rs"]
mod wire;
