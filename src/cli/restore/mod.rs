//! `doorward restore`: replaces the database with a backup. verified.rs makes a copy that no one else can
//! change, dump.rs reads the facts about the backup, and replace.rs restores it.

mod dump;
mod replace;
mod verified;

use std::path::PathBuf;

use clap::{Args, ValueHint};

use self::dump::Dump;
use self::replace::replace;
use self::verified::Verified;
use super::confirmation::Confirmation;
use super::context::Context;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::output::{Format, Output};
use super::restored::{KeepOptions, RestoredReport, end_restored};
use crate::app::secrets;
use crate::app::start::check_secret_keys;
use crate::config::{Settings, stdin_is_terminal};
use crate::database::{Connection, count_other_clients, migrate};

/// Arguments of `doorward restore`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  doorward restore doorward.dump --yes\n  gpg --decrypt doorward.dump.gpg | doorward restore - --yes"
)]
pub struct RestoreArgs {
    /// The file that `doorward backup` wrote. `-` is standard input.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Accept a backup without an HMAC, from an earlier doorward or from pg_dump. Anyone who could write to
    /// such a file may have added users, passwords and statements, which this puts into the database.
    #[arg(long)]
    pub unauthenticated: bool,
    #[command(flatten)]
    pub kept: KeepOptions,
    #[command(flatten)]
    pub confirmation: Confirmation,
}

/// The warning before the backup is read.
const WHAT: &str = "this replaces the database with the backup: everything written after the backup is lost, and every \
                    session, personal token, signing key and one-time link ends, unless a --keep option keeps it";

impl RestoreArgs {
    /// Restores the backup, and then ends everything that may have been ended after it was made. Otherwise a
    /// session that was signed out later would be valid again.
    ///
    /// # Errors
    /// * A server runs on the private PostgreSQL, or others are connected to the database.
    /// * The file cannot be read or was changed, or no secret key opens it.
    /// * The schema has tables of other programs, or PostgreSQL fails.
    ///
    /// The database then stays as it was, unless the message says otherwise.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        if self.file.as_os_str() == "-" {
            if stdin_is_terminal() {
                return Err(Failure::new(
                    "standard input is a terminal: pipe a backup in, as in `… | doorward restore - --yes`",
                ));
            }
        } else if !self.file.is_file() {
            return Err(Failure::new(format!(
                "{} is missing or not a regular file: give the path of a backup",
                self.file.display()
            )));
        }
        let access = DatabaseAccess::make(&settings)?;
        if access.beside_server {
            return Err(Failure::new("a server runs on this data folder: stop it first"));
        }
        let done = self.restore(&access, &settings);
        access.stop();
        let ended = done?;
        let mut output = Output::stdout(Format::default());
        output.line("The backup was restored.")?;
        ended.print(&mut output)
    }

    fn restore(&self, access: &DatabaseAccess, settings: &Settings) -> Result<RestoredReport, Failure> {
        self.confirmation.ask(WHAT)?;
        let verified = Verified::copy(&self.file, settings, self.unauthenticated)?;
        let dump = Dump::read(access, verified.path())?;
        check_key_of(&dump, settings)?;
        refuse_other_clients(&mut access.connect_to_any()?)?;
        replace(access, &dump)?;
        self.end(&mut access.connect_to_any()?, settings).map_err(|failure| match failure {
            Failure::Wrong(mut lines) => {
                lines.push(
                    "the backup was restored, but no sessions or tokens were ended: run `doorward restored`"
                        .into(),
                );
                Failure::Wrong(lines)
            }
            gone => gone,
        })
    }

    fn end(&self, connection: &mut Connection, settings: &Settings) -> Result<RestoredReport, Failure> {
        migrate::run(connection).map_err(|error| Failure::new(error.to_string()))?;
        let secret_keys = check_secret_keys(connection, settings);
        let secret_keys = secret_keys.map_err(|error| Failure::new(error.to_string()))?;
        end_restored(connection, settings, &secret_keys, self.kept, None)
    }
}

/// Checks before anything is replaced that a secret key opens the backup. Without one, the restored database
/// would be unusable.
fn check_key_of(dump: &Dump, settings: &Settings) -> Result<(), Failure> {
    // A backup of a database that no server had started on is sealed under no key.
    let Some(check_value) = &dump.check_value else { return Ok(()) };
    let secret_keys = secrets::load(settings, false).map_err(|error| Failure::new(error.to_string()))?;
    if secret_keys.opens(check_value) {
        return Ok(());
    }
    Err(Failure::new(
        "none of the secret keys matches this backup. Add the key that it was made with to \
         DOORWARD_SECRET_KEY, after the current key if it has been replaced; nothing was changed",
    ))
}

/// Refuses to restore while others are connected. A running server would write what it has cached from the
/// old tables into the new ones.
fn refuse_other_clients(connection: &mut Connection) -> Result<(), Failure> {
    match count_other_clients(connection).map_err(|error| Failure::new(error.to_string()))? {
        0 => Ok(()),
        others => Err(Failure::new(format!(
            "{others} other clients are connected to this database: stop the servers first"
        ))),
    }
}
