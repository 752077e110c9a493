//! doorward: an authentication and token service that tells you why it said no.

pub mod audit;
pub mod blocking;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod random;
pub mod secret_key;
pub mod sessions;
pub mod tokens;
pub mod users;
