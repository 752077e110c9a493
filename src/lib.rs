//! doorward: an authentication and token service that tells you why it said no.

pub mod api;
pub mod app;
pub mod audit;
pub mod blocking;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod files;
pub mod guard;
pub mod limits;
pub mod pages;
pub mod problem;
pub mod random;
pub mod resources;
pub mod routing;
pub mod secret_key;
pub mod sessions;
pub mod tokens;
pub mod users;
