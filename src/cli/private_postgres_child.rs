//! `doorward private-postgres-child`: what the server starts in order to start its PostgreSQL.

use std::ffi::OsString;

use clap::Args;

/// Arguments of `doorward private-postgres-child`.
#[derive(Args, Debug)]
pub struct PrivatePostgresChildArgs {
    /// The program to become and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}
