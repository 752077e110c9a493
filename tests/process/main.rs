//! Tests the program as it is run: the server with its private PostgreSQL, what happens when either is
//! killed, and the commands.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod backups;
mod commands;
mod explain;
mod file_modes;
mod hostile;
mod log;
mod nodes;
mod private_postgres;
mod read_only_commands;
mod secrets;
mod server_role;
mod signals;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod wrong_database;
