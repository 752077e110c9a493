//! `doorward backup`: the database in a file.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, ValueHint};

use super::Context;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::output::{Format, Output};

/// Arguments of `doorward backup`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  doorward backup doorward.dump")]
pub struct BackupArgs {
    /// The file to make; one that is there already is not overwritten.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

impl BackupArgs {
    /// Writes the backup: pg_dump's own format, whole or not at all.
    ///
    /// # Errors
    /// When the file is there already, or pg_dump fails.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        if self.file.exists() {
            return Err(Failure::new(format!("{} is there already", self.file.display())));
        }
        let access = DatabaseAccess::find(&settings)?;
        let written = access.connect().map(drop).and_then(|()| dump(&access, &self.file));
        access.stop();
        written?;
        let size = fs::metadata(&self.file).map_or(0, |found| found.len());
        let line = format!(
            "The backup is {} ({size} bytes). It holds password hashes and sealed keys; the secret key is not in it.",
            self.file.display()
        );
        Output::stdout(Format::default()).line(&line)
    }
}

fn dump(access: &DatabaseAccess, file: &Path) -> Result<(), Failure> {
    let unfinished = file.with_extension("unfinished");
    let io = |error: std::io::Error| Failure::new(format!("{}: {error}", unfinished.display()));
    let out =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished).map_err(io)?;
    let program = access.binaries()?.program("pg_dump");
    let mut command = Command::new(&program);
    command.args(["--format=custom", "--no-owner", "--no-privileges"]);
    let dumped = run(command, access.url(), Stdio::from(out)).and_then(|()| {
        let synced = File::open(&unfinished).and_then(|out| out.sync_all());
        synced.and_then(|()| fs::rename(&unfinished, file)).map_err(io)
    });
    if dumped.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    dumped
}

/// Runs one of PostgreSQL's programs on the database. The address goes by the environment, since others can read a
/// command line.
pub(super) fn run(mut command: Command, url: &str, out: Stdio) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    for (name, value) in super::libpq::variables(url)? {
        command.env(name, value);
    }
    let done = command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).output();
    let done = done.map_err(|error| Failure::new(format!("{program}: {error}")))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let lines: Vec<String> = said.lines().take(10).map(str::to_owned).collect();
    Err(if lines.is_empty() { Failure::new(format!("{program} failed")) } else { Failure::Wrong(lines) })
}
