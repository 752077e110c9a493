//! Where the secret keys come from: the setting, its file, or a file that is made for an empty database.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::config::{Secret, SecretKeys as Configured, Settings};
use crate::secret_key::SecretKeys;

/// The file in the data folder.
const FILE: &str = "secret.key";

/// Why there are no secret keys.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file cannot be read or made.
    #[error("the secret key file {path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Others may read it.
    #[error("the secret key file {0} may be read by others: chmod 600 {0}")]
    Open(PathBuf),
    /// Its content is no list of keys.
    #[error("the secret key file {path}: {why}")]
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
}

/// The secret keys of the settings; a new file's where the database is new and nothing is set.
///
/// # Errors
/// See [`SecretsError`].
pub fn load(settings: &Settings, database_is_new: bool) -> Result<SecretKeys, SecretsError> {
    if let Some(keys) = &settings.secret_key {
        return Ok(derive(keys));
    }
    let set = settings.secret_key_file.clone();
    let path = set.clone().unwrap_or_else(|| settings.data_dir.join(FILE));
    match read(&path) {
        Err(SecretsError::Io { error, .. }) if error.kind() == ErrorKind::NotFound && set.is_none() => {
            if database_is_new {
                make(&path)
            } else {
                Err(SecretsError::Missing(path))
            }
        }
        read => read,
    }
}

fn derive(keys: &Configured) -> SecretKeys {
    // config/ has seen to it that there is at least one.
    SecretKeys::derive(keys.iter().map(Secret::expose))
        .unwrap_or_else(|| unreachable!("the list is never empty"))
}

fn read(path: &Path) -> Result<SecretKeys, SecretsError> {
    let io = |error| SecretsError::Io { path: path.to_owned(), error };
    let mode = fs::metadata(path).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(SecretsError::Open(path.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(io)?;
    let keys =
        Configured::from_lines(&text).map_err(|why| SecretsError::Content { path: path.to_owned(), why })?;
    Ok(derive(&keys))
}

fn make(path: &Path) -> Result<SecretKeys, SecretsError> {
    let io = |error| SecretsError::Io { path: path.to_owned(), error };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io)?;
    }
    // Whole or not at all: beside its place first, for this process alone.
    let unfinished = path.with_extension(format!("{}.unfinished", std::process::id()));
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished).map_err(io)?;
    let written =
        file.write_all(format!("{}\n", SecretKeys::generate()).as_bytes()).and_then(|()| file.sync_all());
    written.map_err(io)?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600)).map_err(io)?;
    // Of two processes that start at once the first makes the file, and the other reads it.
    let linked = fs::hard_link(&unfinished, path);
    let _ = fs::remove_file(&unfinished);
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(io(error)),
        _ => read(path),
    }
}
