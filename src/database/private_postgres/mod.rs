//! The embedded default: a PostgreSQL of our own under the data folder, reached by a Unix socket alone, started and
//! stopped with the process, and started again when it dies.

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
            cluster::check_not_lost(&data_dir)?;
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
        if std::fs::symlink_metadata(data_dir.join(LOCK_FILE)).is_err() {
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

/// One process a folder. The lock goes with the process, however that ends.
fn lock(data_dir: &Path) -> Result<Flock<File>, Error> {
    let path = data_dir.join(LOCK_FILE);
    let mut file = files::open_kept("the lock of the data folder", &path)?;
    // An umask may have taken more than others' access; where the file is another's, this is not ours to change.
    let _ = file.set_permissions(Permissions::from_mode(FILE_MODE));
    let mut pid = String::new();
    let _ = file.read_to_string(&mut pid);
    let held = |_| Error::Locked { folder: data_dir.to_owned(), pid: pid.trim().to_owned() };
    let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| held(error))?;
    // It is open for appending.
    let written = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
    written.map_err(|error| Error::io(&path, error))?;
    Ok(lock)
}
