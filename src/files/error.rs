//! The errors of doorward's own files and folders, with what to do about them.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};

/// The reason why a file or folder cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system reported an error.
    #[error("{what} {path}: {error}{}", remedy(path, error))]
    Io {
        /// The purpose of the file.
        what: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    /// Another user owns the file.
    #[error(
        "{what} {path} belongs to {owner}, but doorward runs as {}, so its owner could replace its content. \
         Run doorward as its owner, or give it to doorward's user (chown {} {path}; in Kubernetes runAsUser, \
         in Docker --user and the volume's owner)",
        user_name(geteuid()),
        geteuid()
    )]
    Owner {
        /// The purpose of the file.
        what: &'static str,
        path: PathBuf,
        /// The name of the owner.
        owner: String,
    },
    /// Other users may read or write the file.
    #[error("others can read {what} {path}: {advice}")]
    Open {
        /// The purpose of the file.
        what: &'static str,
        path: PathBuf,
        /// Instructions to correct it.
        advice: String,
    },
    /// The path leads to a file of another user.
    #[error(
        "{what} {path} {why}, and doorward does not write through it. Check where it leads, delete it (rm \
         {path}) and try again. Give doorward a folder that no one else writes to"
    )]
    Elsewhere {
        /// The purpose of the file.
        what: &'static str,
        path: PathBuf,
        /// The reason why it may be another file.
        why: String,
    },
}

impl FileError {
    /// Creates an error from one of the operating system.
    #[must_use]
    pub fn io(what: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), error }
    }

    /// Returns the kind of the operating system's error, if it reported one.
    #[must_use]
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Io { error, .. } => Some(error.kind()),
            Self::Owner { .. } | Self::Open { .. } | Self::Elsewhere { .. } => None,
        }
    }
}

/// Returns the name of a user, or their number if they have no name.
#[must_use]
pub(crate) fn user_name(uid: Uid) -> String {
    let named = User::from_uid(uid).ok().flatten();
    named.map_or_else(|| format!("the user id {uid}"), |user| user.name)
}

/// Returns what to do about an error of the operating system: a sentence, or an empty text.
fn remedy(path: &Path, error: &io::Error) -> String {
    let user = user_name(geteuid());
    match error.kind() {
        ErrorKind::PermissionDenied => format!(
            ". Run doorward as the owner, or let {user} read and write there (in a container: the volume's \
             owner, runAsUser, fsGroup or --user)"
        ),
        ErrorKind::ReadOnlyFilesystem => {
            ". The file system is read-only: mount a writable one there, or choose a folder on another one"
                .to_owned()
        }
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
            format!(". Something else has this name: move {} away, or choose another place", path.display())
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ". Free some space and try again".to_owned(),
        ErrorKind::NotFound => ". Restore it from a copy, or choose the right place".to_owned(),
        ErrorKind::InvalidData => ". It is not UTF-8 text: restore it from a copy".to_owned(),
        _ => String::new(),
    }
}
