//! The code that doorward's integration tests and benches share: a server with its own database, the clients
//! that use it, and what a test needs of its machine.
//!
//! Unit tests inside doorward cannot use this crate, because it links doorward as another crate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod browser;
pub mod client;
mod database;
mod http;
pub mod machine;
mod small_disk;
pub mod wire;
mod world;

pub use browser::Browser;
pub use database::TestDatabase;
pub use http::{Answer, Ask};
pub use small_disk::SmallDisk;
pub use world::{
    COST, PASSWORD, PUBLIC_URL, Time, Tokens, World, limit_tries, refused_in_time, settings, settings_at,
};
