//! doorward: an authentication and token service that tells you why it refused a request.
//!
//! A module is `pub` if a test, a benchmark or a fuzz target imports it.

#![deny(unreachable_pub)]

pub mod api;
pub mod app;
pub mod audit;
pub(crate) mod blank;
pub mod blocking;
pub mod cache;
pub(crate) mod change;
pub mod cli;
pub mod clock;
pub mod colour;
pub mod config;
pub mod database;
pub mod digest;
pub mod explain;
pub(crate) mod files;
pub mod guard;
pub mod http;
pub(crate) mod limits;
pub mod operations;
pub mod pages;
pub mod random;
pub mod refusal;
pub mod resources;
pub mod secret_key;
pub mod sessions;
pub mod simplejwt;
pub mod state;
pub mod tokens;
pub mod users;
