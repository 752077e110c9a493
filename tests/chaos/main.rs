//! Faults, and the promises that hold under them. Real nodes run on a PostgreSQL of their own, clients record
//! every response in a ledger, and each round kills, cuts, fills or stops something. The test suite runs a
//! few rounds of most faults. `make chaos` runs all of them, with a hundred rounds where a round is short.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods
)]

mod client;
mod clock;
mod crash;
mod cut_connections;
mod disk_full;
mod drill;
mod failover;
mod killed_node;
mod ledger;
mod load;
mod node;
mod postgres;
mod proxy;
mod rejected_connections;
mod report;
mod standby;
mod start;
mod unavailable;
