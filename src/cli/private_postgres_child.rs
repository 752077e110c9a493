//! `doorward private-postgres-child`: the process that the server starts to become its PostgreSQL.

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
    /// Becomes PostgreSQL. Does not return if that succeeds.
    pub fn run(&self) -> Result<(), Failure> {
        Err(Failure::new(exec_child(&self.arguments)))
    }
}
