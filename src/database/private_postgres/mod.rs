//! The private PostgreSQL, which doorward uses by default. It lives in the data folder and is reached only by
//! a Unix socket. It starts and stops with the process, and is restarted when it dies.

mod binaries;
mod child;
mod cluster;
mod error;
mod place;
mod roles;
mod supervisor;

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::files::{self, FILE_MODE, FileError};

use self::place::LOCK_FILE;

pub use self::error::Error;
pub use self::place::{Options, SocketUrl};
pub use binaries::{Binaries, find_binaries};
pub use child::exec_child;

/// The name of the data folder in errors.
const DATA_FOLDER: &str = "the data folder";

/// A private PostgreSQL that runs until this value is dropped.
pub struct PrivatePostgres {
    url: SocketUrl,
    binaries: Binaries,
    supervisor: supervisor::Supervisor,
    // Dropped last, so that PostgreSQL has stopped before another process can take the folder.
    _lock: Flock<File>,
}

impl PrivatePostgres {
    /// Starts the private PostgreSQL. Creates the folder and the cluster if they do not exist.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let io = |error| Error::io(&options.data_dir, error);
        files::create_folders(DATA_FOLDER, &options.data_dir, files::data_folder_mode())?;
        let data_dir = options.data_dir.canonicalize().map_err(io)?;
        Self::begin(options, &data_dir, supervisor::SILENCE)
    }

    /// Starts an existing private PostgreSQL for a command. Does not create one.
    pub fn open(options: &Options) -> Result<Self, Error> {
        Self::open_within(options, supervisor::SILENCE)
    }

    /// Works like [`PrivatePostgres::open`], but gives up on a process that does not report within `silence`
    /// that it is starting.
    pub fn open_within(options: &Options, silence: Duration) -> Result<Self, Error> {
        files::refuse_planted_links(DATA_FOLDER, &options.data_dir)?;
        let data_dir = options.data_dir.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NoFolder(options.data_dir.clone()),
            _ => FileError::io(DATA_FOLDER, &options.data_dir, error).into(),
        })?;
        std::fs::read_dir(&data_dir).map_err(|error| FileError::io(DATA_FOLDER, &data_dir, error))?;
        if !cluster::is_in(&data_dir) {
            cluster::check_not_lost(&data_dir)?;
            return Err(Error::NoCluster(data_dir));
        }
        Self::begin(options, &data_dir, silence)
    }

    fn begin(options: &Options, data_dir: &Path, silence: Duration) -> Result<Self, Error> {
        let lock = lock(data_dir)?;
        let cluster = cluster::Cluster::at(data_dir)?;
        cluster.repair()?;
        let binaries = find_binaries(&options.path, cluster.major())?;
        cluster.prepare(&binaries)?;
        let supervisor = supervisor::Supervisor::start(&cluster, &binaries, options, silence)?;
        cluster.ensure_database()?;
        Ok(Self { url: cluster.url()?, binaries, supervisor, _lock: lock })
    }

    /// Returns the URL of the PostgreSQL that another process runs on this folder, or `None` if there is
    /// none.
    pub fn running(data_dir: &Path) -> Result<Option<SocketUrl>, Error> {
        files::refuse_planted_links(DATA_FOLDER, data_dir)?;
        let Ok(data_dir) = data_dir.canonicalize() else { return Ok(None) };
        if std::fs::symlink_metadata(data_dir.join(LOCK_FILE)).is_err() {
            return Ok(None);
        }
        match lock(&data_dir) {
            Ok(_) => Ok(None),
            Err(Error::Locked { .. }) => cluster::Cluster::at(&data_dir)?.url().map(Some),
            Err(error) => Err(error),
        }
    }

    /// Returns the superuser's URL of doorward's database, for operators.
    pub fn superuser_url(data_dir: &Path) -> Result<SocketUrl, Error> {
        files::refuse_planted_links(DATA_FOLDER, data_dir)?;
        let data_dir = data_dir.canonicalize().map_err(|_| Error::NoFolder(data_dir.to_owned()))?;
        cluster::Cluster::at(&data_dir)?.superuser_url(roles::DATABASE)
    }

    /// Returns the URL of doorward's database.
    #[must_use]
    pub fn url(&self) -> &SocketUrl {
        &self.url
    }

    /// Returns the programs of PostgreSQL's own version.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Stops PostgreSQL with a fast shutdown, and forces it after `deadline`.
    pub fn stop(self, deadline: Duration) {
        self.supervisor.stop(deadline);
    }
}

/// Locks the folder for this process. The lock ends with the process, however that ends.
fn lock(data_dir: &Path) -> Result<Flock<File>, Error> {
    let path = data_dir.join(LOCK_FILE);
    let mut file = files::open_kept("the lock of the data folder", &path)?;
    // An umask may have removed more than other users' access. This fails if root owns the file, which is
    // fine.
    let _ = file.set_permissions(Permissions::from_mode(FILE_MODE));
    let mut pid = String::new();
    let _ = file.read_to_string(&mut pid);
    let held = |_| Error::Locked { folder: data_dir.to_owned(), pid: pid.trim().to_owned() };
    let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| held(error))?;
    // The file is open for appending, so it is emptied first.
    let written = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
    written.map_err(|error| Error::io(&path, error))?;
    Ok(lock)
}
