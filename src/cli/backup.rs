//! `doorward backup`: the database in a file.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use clap::{Args, ValueHint};

use super::Context;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::libpq::{client, run};
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
            return Err(is_there_already(&self.file));
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

/// Writes beside the file first, under a name of this process's own, so that the file is whole once it is there.
fn dump(access: &DatabaseAccess, file: &Path) -> Result<(), Failure> {
    let mut command = client(access, "pg_dump")?;
    command.args(["--format=custom", "--no-owner", "--no-privileges"]);
    let unfinished = unfinished(file);
    let io = |error: io::Error| Failure::new(format!("{}: {error}", unfinished.display()));
    let made = File::options().write(true).create_new(true).mode(0o600).open(&unfinished);
    let out = made.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(format!(
            "{} is there already: a backup that was cut off left it; remove it",
            unfinished.display()
        )),
        _ => io(error),
    })?;
    let dumped = run(command, Stdio::from(out)).and_then(|_| {
        File::open(&unfinished).and_then(|out| out.sync_all()).map_err(io)?;
        put_in_place(&unfinished, file)
    });
    let _ = fs::remove_file(&unfinished);
    dumped
}

/// `auth.mon` and `auth.tue` are written side by side: the whole name, and whose it is.
fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.unfinished", std::process::id()));
    PathBuf::from(name)
}

/// A link overwrites nothing, unlike a rename; some file systems have none.
fn put_in_place(unfinished: &Path, file: &Path) -> Result<(), Failure> {
    match fs::hard_link(unfinished, file) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists && fs::symlink_metadata(file).is_err() => {
            let renamed = fs::rename(unfinished, file);
            renamed.map_err(|error| Failure::new(format!("{}: {error}", file.display())))
        }
        Err(_) => Err(is_there_already(file)),
        Ok(()) => Ok(()),
    }
}

fn is_there_already(file: &Path) -> Failure {
    Failure::new(format!("{} is there already", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_takes_no_other_files_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert_ne!(unfinished(&path("auth.mon")), unfinished(&path("auth.tue")));
        fs::write(path("new"), "new").unwrap();
        fs::write(path("old"), "old").unwrap();
        std::os::unix::fs::symlink(path("nowhere"), path("link")).unwrap();
        for taken in ["old", "link"] {
            assert_eq!(put_in_place(&path("new"), &path(taken)), Err(is_there_already(&path(taken))));
        }
        assert_eq!(fs::read_to_string(path("old")).unwrap(), "old");
        assert_eq!(put_in_place(&path("new"), &path("free")), Ok(()));
        assert_eq!(fs::read_to_string(path("free")).unwrap(), "new");
    }
}
