//! `doorward restore`: a backup in place of the database.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::{Args, ValueHint};
use serde_json::json;

use super::Context;
use super::backup::run;
use super::confirmation::Confirmation;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::output::{Format, Output};
use crate::app::start::check_secret_keys;
use crate::audit::event::{self, EventType, Origin, Subject};
use crate::config::Settings;
use crate::database::{Connection, count_other_clients, migrate, transaction};
use crate::sessions::{EndReason, Which, end_sessions};

/// Arguments of `doorward restore`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  doorward restore doorward.dump --yes")]
pub struct RestoreArgs {
    /// The file that `doorward backup` made.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Leave the sessions of the backup alive, those too that were ended after it was made.
    #[arg(long)]
    pub keep_sessions: bool,
    /// The answer, given beforehand.
    #[command(flatten)]
    pub confirmation: Confirmation,
}

/// What can be told of the backup before it is read.
const WHAT: &str = "this puts the backup in place of the database: whatever was written after it was made is lost, and \
                    personal tokens and signing keys that were revoked since are good again";

impl RestoreArgs {
    /// Restores, then ends the sessions of the backup: one that was signed out after it was made would be alive again.
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
        let line = if self.keep_sessions {
            "The backup is restored. Its sessions live, also those that were ended after it was made."
                .to_owned()
        } else {
            format!(
                "The backup is restored. All {ended} sessions in it have been ended: everybody signs in again."
            )
        };
        let tokens = "See `doorward token list` for personal tokens, and `doorward key list` for signing keys, that were \
                      revoked after the backup was made, and revoke them again.";
        let mut output = Output::stdout(Format::default());
        output.line(&line)?;
        output.line(tokens)
    }

    fn restore(&self, access: &DatabaseAccess, settings: &Settings) -> Result<usize, Failure> {
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
        let mut connection = access.connect_to_any()?;
        migrate::run(&mut connection).map_err(|error| Failure::new(error.to_string()))?;
        check_secret_keys(&mut connection, settings).map_err(|error| Failure::new(error.to_string()))?;
        self.end_sessions(&mut connection)
    }

    fn end_sessions(&self, connection: &mut Connection) -> Result<usize, Failure> {
        let origin = Origin::command_line();
        let ended = transaction(connection, |connection| {
            let ended = match self.keep_sessions {
                true => Vec::new(),
                false => end_sessions(connection, &Which::Every, EndReason::DatabaseRestored, &origin)?,
            };
            let details = json!({ "sessions_ended": ended.len() });
            let nobody = Subject { id: None, name: None };
            event::insert(connection, &origin, EventType::DatabaseRestored, nobody, &details)?;
            Ok(ended.len())
        });
        ended.map_err(|error| Failure::new(error.to_string()))
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
