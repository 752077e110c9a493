//! Where the secret keys come from: the setting, its file, or a file that is made for an empty database.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config::{Secret, SecretKeys as Configured, Settings};
use crate::files::{self, FileError};
use crate::random;
use crate::secret_key::{DeriveError, SecretKeys};

/// The file in the data folder.
const FILE: &str = "secret.key";
/// The name of the file in errors.
const WHAT: &str = "the secret key file";
/// The beginning and the end of a name that the file has while it is written.
const UNFINISHED: (&str, &str) = ("secret.", ".unfinished");

/// Why there are no secret keys.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file cannot be read or made, or others have access to it.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its content is no list of keys.
    #[error(
        "the secret key file {path}: {why}. Put the key back that this database was made with, 32 to 1024 visible ASCII \
         characters in a line; a new database takes a new one, such as `openssl rand -base64 32` prints"
    )]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// There is none, but the database is sealed under one.
    #[error(
        "the secret key file {0} is not there, and this database was made with one: put it back, or set \
         DOORWARD_SECRET_KEY"
    )]
    Missing(PathBuf),
    /// No keys could be derived of the texts.
    #[error(transparent)]
    Derive(#[from] DeriveError),
}

/// The secret keys of the settings; a new file's where the database is new and nothing is set.
///
/// # Errors
/// See [`SecretsError`].
pub fn load(settings: &Settings, database_is_new: bool) -> Result<SecretKeys, SecretsError> {
    if let Some(keys) = &settings.secret_key {
        return derive(keys);
    }
    if let Some(path) = &settings.secret_key_file {
        return read(path);
    }
    let path = settings.data_dir.join(FILE);
    if fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
        files::put_data_folder_right(&settings.data_dir)?;
        files::put_right(WHAT, &path, files::FILE_MODE)?;
        // They may be further names of the key.
        files::delete_leftovers(&settings.data_dir, UNFINISHED.0, UNFINISHED.1);
    }
    match read(&path) {
        Err(SecretsError::File(error)) if error.kind() == Some(ErrorKind::NotFound) && database_is_new => {
            create(&settings.data_dir, &path)
        }
        Err(SecretsError::File(error)) if error.kind() == Some(ErrorKind::NotFound) => {
            Err(SecretsError::Missing(path))
        }
        read => read,
    }
}

fn derive(keys: &Configured) -> Result<SecretKeys, SecretsError> {
    Ok(SecretKeys::derive(keys.iter().map(Secret::expose))?)
}

fn read(path: &Path) -> Result<SecretKeys, SecretsError> {
    let text = files::read_secret(WHAT, path)?;
    let keys =
        Configured::from_lines(&text).map_err(|why| SecretsError::Content { path: path.to_owned(), why })?;
    derive(&keys)
}

fn create(folder: &Path, path: &Path) -> Result<SecretKeys, SecretsError> {
    files::create_folders("the data folder", folder, files::data_folder_mode())?;
    files::put_data_folder_right(folder)?;
    // Whole or not at all: beside its place first, under a name that nobody guesses.
    let unfinished = folder.join(format!("{}{}{}", UNFINISHED.0, random::id(), UNFINISHED.1));
    let key = format!("{}\n", SecretKeys::generate());
    let created = files::create(&unfinished, key.as_bytes());
    // Of two processes that start at once the first makes the file, and the other reads it.
    let linked = created.and_then(|_| fs::hard_link(&unfinished, path));
    let _ = fs::remove_file(&unfinished);
    match linked {
        // Another process has made the file, and deleted this one's as a leftover.
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_file() => read(path),
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(FileError::io(WHAT, path, error).into())
        }
        _ => read(path),
    }
}
