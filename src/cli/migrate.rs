//! `doorward migrate`: brings the database to this version's schema.

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::output::{Format, Output};
use crate::database::Connection;
use crate::database::migrate::{self, MigrateError};

/// Arguments of `doorward migrate`.
#[derive(Args, Debug)]
pub struct MigrateArgs {
    #[command(flatten)]
    pub format: Format,
}

#[derive(Serialize)]
struct Migrated {
    ran: Vec<String>,
}

impl MigrateArgs {
    /// Migrates the database and prints which migrations ran.
    ///
    /// # Errors
    /// The database cannot be reached, or a migration fails.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        let access = DatabaseAccess::make(&settings)?;
        let ran = run(&mut access.connect_to_any()?).map_err(|error| Failure::new(error.to_string()));
        access.stop();
        let ran = ran?;
        let line = match ran.len() {
            0 => "The database already has this version's schema.".to_owned(),
            count => format!("Ran {count} migrations: {}.", ran.join(", ")),
        };
        Output::stdout(self.format).result(&Migrated { ran }, &line)
    }
}

/// Also creates the indexes, which a server creates only while it serves.
fn run(connection: &mut Connection) -> Result<Vec<String>, MigrateError> {
    let ran = migrate::run(connection)?;
    migrate::make_indexes(connection)?;
    Ok(ran)
}
