//! `doorward restore`: a backup in place of the database.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::{Args, ValueHint};

use super::Context;
use super::backup::run;
use super::confirmation::Confirmation;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::output::{Format, Output};
use super::restored::{Ended, Kept, end_what_came_back};
use crate::app::start::check_secret_keys;
use crate::config::Settings;
use crate::database::{Connection, count_other_clients, migrate};

/// Arguments of `doorward restore`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  doorward restore doorward.dump --yes")]
pub struct RestoreArgs {
    /// The file that `doorward backup` made.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// What is left as the backup has it.
    #[command(flatten)]
    pub kept: Kept,
    /// The answer, given beforehand.
    #[command(flatten)]
    pub confirmation: Confirmation,
}

/// What can be told of the backup before it is read.
const WHAT: &str = "this puts the backup in place of the database: whatever was written after it was made is lost, and \
                    what it cannot vouch for ends, every session first of all";

impl RestoreArgs {
    /// Restores, then ends what the backup cannot vouch for: a session that was signed out after it was made would be
    /// alive again.
    ///
    /// # Errors
    /// When a server runs on the private PostgreSQL, the file cannot be read, or pg_restore fails; then the database
    /// is as it was before.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        if !self.file.is_file() {
            return Err(Failure::new(format!("there is no file {}", self.file.display())));
        }
        let access = DatabaseAccess::make(&settings)?;
        if access.beside_server {
            return Err(Failure::new(
                "a server runs on this data folder: stop it before its database is replaced",
            ));
        }
        let done = self.restore(&access, &settings);
        access.stop();
        let ended = done?;
        let mut output = Output::stdout(Format::default());
        output.line("The backup is restored.")?;
        ended.tell(&mut output)
    }

    fn restore(&self, access: &DatabaseAccess, settings: &Settings) -> Result<Ended, Failure> {
        self.confirmation.ask(WHAT)?;
        let program = access.binaries()?.program("pg_restore");
        let mut check = Command::new(&program);
        check.arg("--list").arg(&self.file);
        run(check, access.url(), Stdio::null())?;
        refuse_other_clients(&mut access.connect_to_any()?)?;
        // One transaction: all of it or nothing. What a newer version made would stand in its way.
        let mut command = Command::new(&program);
        command.args(["--single-transaction", "--no-owner", "--no-privileges", "--clean", "--if-exists"]);
        command.args(["--exit-on-error", "--dbname="]).arg(&self.file);
        run(command, access.url(), Stdio::null())?;
        self.end(&mut access.connect_to_any()?, settings).map_err(|failure| match failure {
            Failure::Wrong(mut lines) => {
                lines.push(
                    "the backup is restored, and nothing of it has ended: run `doorward restored`".into(),
                );
                Failure::Wrong(lines)
            }
            gone => gone,
        })
    }

    fn end(&self, connection: &mut Connection, settings: &Settings) -> Result<Ended, Failure> {
        migrate::run(connection).map_err(|error| Failure::new(error.to_string()))?;
        let secret_keys = check_secret_keys(connection, settings);
        let secret_keys = secret_keys.map_err(|error| Failure::new(error.to_string()))?;
        end_what_came_back(connection, settings, &secret_keys, self.kept, None)
    }
}

/// A server that goes on while its tables are replaced would write into the new ones what it knew of the old.
fn refuse_other_clients(connection: &mut Connection) -> Result<(), Failure> {
    match count_other_clients(connection).map_err(|error| Failure::new(error.to_string()))? {
        0 => Ok(()),
        others => Err(Failure::new(format!(
            "{others} others are connected to this database: stop the servers first"
        ))),
    }
}
