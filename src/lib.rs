//! doorward: an authentication and token service that tells you why it said no.

pub mod api;
pub mod app;
pub mod audit;
pub mod blank;
pub mod blocking;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod explain;
pub mod files;
pub mod guard;
pub mod http;
pub mod limits;
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
