//! Faults, and what is promised under them: real nodes on a PostgreSQL of their own, clients that keep a ledger of every
//! answer, and rounds in which something is killed, cut, filled or stopped. With all other tests run a few rounds of most;
//! `make chaos` runs all of them, a hundred rounds where a round is short.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods
)]

mod away;
mod client;
mod clock;
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
mod report;
#[path = "../process/small_disk.rs"]
mod small_disk;
mod standby;
mod start;
#[path = "../../benches/driver/wire.rs"]
mod wire;
