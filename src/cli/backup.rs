//! `doorward backup`: writes the database into a file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use clap::{Args, ValueHint};

use super::backup_proof::{self, copy_dump};
use super::context::Context;
use super::database::DatabaseAccess;
use super::failure::{Failure, print_error};
use super::libpq::{client, judge, not_started, run};
use super::output::{Format, Output};
use crate::app::secrets;
use crate::app::start::{StartError, check_secret_keys};
use crate::config::{Settings, stdout_is_terminal};
use crate::database::Connection;
use crate::files::{self, FileError};
use crate::secret_key::SecretKeys;

/// Arguments of `doorward backup`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  doorward backup doorward.dump
  doorward backup - | gpg --encrypt -r ops@example.org > doorward.dump.gpg

The backup ends with an HMAC made with the secret key. `doorward restore` refuses a backup that was changed.")]
pub struct BackupArgs {
    /// The file to create. An existing file is not overwritten. `-` is standard output.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}

impl BackupArgs {
    /// Writes the backup, which is a dump in pg_dump's custom format followed by a proof. A file is
    /// either complete or not created.
    ///
    /// # Errors
    /// The file exists, there is no secret key, or pg_dump fails.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        let to_stdout = self.file.as_os_str() == "-";
        if to_stdout && stdout_is_terminal() {
            return Err(Failure::new("a backup is binary: redirect standard output to a file or a program"));
        }
        if !to_stdout && fs::symlink_metadata(&self.file).is_ok() {
            return Err(is_there_already(&self.file));
        }
        let access = DatabaseAccess::find(&settings)?;
        let written = access.connect().and_then(|mut connection| {
            let keys = find_keys(&mut connection, &settings)?;
            if to_stdout { stream(&access, &keys) } else { dump(&access, &keys, &self.file) }
        });
        access.stop();
        written?;
        self.print_summary(to_stdout)
    }

    fn print_summary(&self, to_stdout: bool) -> Result<(), Failure> {
        let holds = "It contains password hashes and encrypted keys, but not the secret key.";
        if to_stdout {
            print_error(&[format!("The backup was written. {holds}")]);
            return Ok(());
        }
        let size = fs::metadata(&self.file).map_or(0, |found| found.len());
        let line = format!("Wrote the backup {} ({size} bytes). {holds}", self.file.display());
        Output::stdout(Format::default()).line(&line)
    }
}

/// Returns the keys that sign the proof. They are the keys of the database. If no server has started on it
/// yet, they are the keys from the settings.
fn find_keys(connection: &mut Connection, settings: &Settings) -> Result<SecretKeys, Failure> {
    let keys = match check_secret_keys(connection, settings) {
        Err(StartError::NeverServed)
            if settings.secret_key.is_some() || settings.secret_key_file.is_some() =>
        {
            secrets::load(settings, false).map_err(StartError::from)
        }
        found => found,
    };
    keys.map_err(|error| Failure::new(error.to_string()))
}

fn pg_dump(access: &DatabaseAccess) -> Result<std::process::Command, Failure> {
    let mut command = client(access, "pg_dump")?;
    command.args(["--format=custom", "--no-owner", "--no-privileges"]);
    Ok(command)
}

/// Writes the backup to standard output. A truncated backup has no proof, so a restore refuses it.
fn stream(access: &DatabaseAccess, keys: &SecretKeys) -> Result<(), Failure> {
    let mut command = pg_dump(access)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut dumping = command.spawn().map_err(|error| not_started(&command, &error))?;
    let mut out = io::stdout().lock();
    let copied = match dumping.stdout.take() {
        Some(from) => copy_dump(from, &mut out),
        None => Err(io::Error::other("pg_dump has no output")),
    };
    let done = dumping.wait_with_output().map_err(|error| not_started(&command, &error))?;
    let digest = copied.map_err(|error| Failure::printing(&error))?;
    judge(&command, done.status, &done.stderr)?;
    let written = backup_proof::write(keys, &digest, &mut out).and_then(|()| out.flush());
    written.map_err(|error| Failure::printing(&error))
}

/// Writes the backup to a temporary file beside the final one, so that the final file is complete once it
/// exists.
fn dump(access: &DatabaseAccess, keys: &SecretKeys, file: &Path) -> Result<(), Failure> {
    let command = pg_dump(access)?;
    let unfinished = unfinished(file);
    let mut written = files::create(&unfinished, b"").map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(format!(
            "{} already exists: an interrupted backup left it. Delete it and try again",
            unfinished.display()
        )),
        _ => not_written(file, error),
    })?;
    let out = written.try_clone().map_err(|error| not_written(file, error))?;
    let dumped = run(command, Stdio::from(out)).and_then(|_| {
        append_proof(&mut written, keys).map_err(|error| not_written(file, error))?;
        put_in_place(&unfinished, file)
    });
    let _ = fs::remove_file(&unfinished);
    dumped
}

/// Appends the proof. Takes the open file, because in a folder that others can write to, its name may refer
/// to another file by now.
fn append_proof(file: &mut File, keys: &SecretKeys) -> io::Result<()> {
    file.rewind()?;
    let digest = copy_dump(&*file, io::sink())?;
    file.seek(SeekFrom::End(0))?;
    backup_proof::write(keys, &digest, &mut *file)?;
    file.sync_all()
}

fn not_written(file: &Path, error: io::Error) -> Failure {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if error.kind() == ErrorKind::NotFound => Failure::new(format!(
            "cannot write the backup {}: the folder {} does not exist. Create it (mkdir -p {}), or choose \
             another place",
            file.display(),
            folder.display(),
            folder.display()
        )),
        _ => Failure::new(FileError::io("the backup", file, error).to_string()),
    }
}

/// Returns the name of the temporary file. It contains the whole file name and the process ID, so that
/// backups to `auth.mon` and `auth.tue` can run at the same time.
fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.unfinished", std::process::id()));
    PathBuf::from(name)
}

/// Links the temporary file to its final name, because a link overwrites nothing, unlike a rename. Renames it
/// where the file system has no links.
fn put_in_place(unfinished: &Path, file: &Path) -> Result<(), Failure> {
    match fs::hard_link(unfinished, file) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists && fs::symlink_metadata(file).is_err() => {
            let renamed = fs::rename(unfinished, file);
            renamed.map_err(|error| not_written(file, error))
        }
        Err(_) => Err(is_there_already(file)),
        Ok(()) => Ok(()),
    }
}

fn is_there_already(file: &Path) -> Failure {
    Failure::new(format!("{} already exists: move it away, or choose another file", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backup_does_not_replace_an_existing_file() {
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
