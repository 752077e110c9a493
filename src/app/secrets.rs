//! Loads the secret keys: from the setting, from its file, or from a file that is created for an empty
//! database.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config::{Secret, SecretKeyTexts as Configured, Settings};
use crate::files::{self, FileError};
use crate::random;
use crate::secret_key::{DeriveError, SecretKeys};

/// The name of the file in the data folder.
const FILE: &str = "secret.key";
/// The description of the file in errors.
const WHAT: &str = "the secret key file";
/// The prefix and the suffix of the file's name while it is being written.
const UNFINISHED: (&str, &str) = ("secret.", ".unfinished");

/// The reason why there are no secret keys.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file cannot be read or created, or others have access to it.
    #[error(transparent)]
    File(#[from] FileError),
    /// The content of the file is not a list of keys.
    #[error(
        "the secret key file {path}: {why}. Restore the key that this database was created with: 32 to 1024 \
         visible ASCII characters in one line. For a new database, use a new key, such as the output of \
         `openssl rand -base64 32`"
    )]
    Content {
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The file is missing, but the database was sealed with a key.
    #[error(
        "the secret key file {0} is missing, but this database was created with one: restore the file, or \
         set DOORWARD_SECRET_KEY"
    )]
    Missing(PathBuf),
    /// No keys could be derived from the configured strings.
    #[error(transparent)]
    Derive(#[from] DeriveError),
}

/// Loads the secret keys of the settings. If none are set and the database is new, creates a file with a new
/// key.
///
/// # Errors
/// See [`SecretsError`].
pub(crate) fn load(settings: &Settings, database_is_new: bool) -> Result<SecretKeys, SecretsError> {
    if let Some(keys) = &settings.secret_key {
        return derive(keys);
    }
    if let Some(path) = &settings.secret_key_file {
        return read(path);
    }
    let path = settings.data_dir.join(FILE);
    if fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
        files::repair_data_folder(&settings.data_dir)?;
        files::repair(WHAT, &path, files::FILE_MODE)?;
        // Leftovers may be additional links to the key's file.
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
    files::repair_data_folder(folder)?;
    // The file must never be incomplete. It is therefore written under a name that nobody can guess, and then
    // linked to its own name.
    let unfinished = folder.join(format!("{}{}{}", UNFINISHED.0, random::id(), UNFINISHED.1));
    let key = format!("{}\n", SecretKeys::generate());
    let created = files::create(&unfinished, key.as_bytes());
    // If two processes start at once, the first creates the file and the other reads it.
    let linked = created.and_then(|_| fs::hard_link(&unfinished, path));
    let _ = fs::remove_file(&unfinished);
    match linked {
        // Another process has created the file, and has deleted the unfinished one as a leftover.
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_file() => read(path),
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(FileError::io(WHAT, path, error).into())
        }
        _ => read(path),
    }
}
