//! `doorward private-postgres-child`: what the server starts in order to start its PostgreSQL.

use std::ffi::OsString;

use clap::Args;

use super::failure::Failure;
use crate::database::private_postgres::exec_child;

/// Arguments of `doorward private-postgres-child`.
#[derive(Args, Debug)]
pub struct PrivatePostgresChildArgs {
    /// The program to become and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

impl PrivatePostgresChildArgs {
    /// Becomes PostgreSQL.
    ///
    /// # Errors
    /// When that is not possible; otherwise this does not return.
    pub fn run(&self) -> Result<(), Failure> {
        Err(Failure::new(exec_child(&self.arguments)))
    }
}
