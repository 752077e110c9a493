//! The private PostgreSQL's files: the cluster, its password, its socket's folder, and who owns them.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::digest::{SHA256, digest};
use diesel::{Connection, PgConnection, RunQueryDsl};
use nix::sys::statvfs::statvfs;
use nix::unistd::{User, geteuid};

use super::{Binaries, Error, SocketUrl};
use crate::random;

/// Bytes that the path of a Unix socket may have, of which its own name takes these.
const SOCKET_PATH_MAX: usize = 107;
const SOCKET_NAME: &str = "/.s.PGSQL.5432";
/// What the names of clusters in the making begin with.
const UNFINISHED: &str = "postgres.unfinished.";

/// PostgreSQL's own folder in the data folder.
const FOLDER: &str = "postgres";

/// Bytes of a segment of PostgreSQL's log.
const WAL_SEGMENT: u64 = 16 * 1024 * 1024;

/// Who runs PostgreSQL, which refuses to run as root.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    name: String,
}

/// Whether there is a cluster in this data folder.
pub(super) fn is_in(data_dir: &Path) -> bool {
    data_dir.join(FOLDER).exists()
}

/// The files of one private PostgreSQL.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    data_dir: PathBuf,
    /// `None`: whoever runs this process.
    pub(super) owner: Option<Owner>,
}

impl Cluster {
    pub(super) fn at(data_dir: &Path) -> Result<Self, Error> {
        let owner = if geteuid().is_root() { Some(find_owner()?) } else { None };
        if let Some(owner) = &owner {
            check_reach(data_dir, owner)?;
        }
        Ok(Self { data_dir: data_dir.to_owned(), owner })
    }

    /// PostgreSQL's own folder.
    pub(super) fn folder(&self) -> PathBuf {
        self.data_dir.join(FOLDER)
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.data_dir.join("postgres.log")
    }

    fn password_file(&self) -> PathBuf {
        self.data_dir.join("postgres.password")
    }

    /// The socket's folder: beside the cluster, or where the path would be too long, or cut in two by PostgreSQL, which
    /// takes a list there, in the folder for temporary files.
    pub(super) fn socket_folder(&self) -> PathBuf {
        let beside = self.data_dir.join("socket");
        let path = beside.as_os_str().as_encoded_bytes();
        let is_one = !path.iter().any(|byte| matches!(byte, b',' | b'"'));
        if is_one && path.len() + SOCKET_NAME.len() <= SOCKET_PATH_MAX {
            return beside;
        }
        let name = digest(&SHA256, self.data_dir.as_os_str().as_encoded_bytes());
        let name: String = name.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        PathBuf::from(format!("/tmp/doorward-{name}"))
    }

    /// Removes the socket's folder where it stands among the temporary files of others.
    pub(super) fn remove_socket_folder(&self) {
        let folder = self.socket_folder();
        if !folder.starts_with(&self.data_dir) {
            let _ = fs::remove_dir(folder);
        }
    }

    /// The major version that made the cluster; `None`: there is none yet.
    pub(super) fn major(&self) -> Option<u32> {
        fs::read_to_string(self.folder().join("PG_VERSION")).ok()?.trim().parse().ok()
    }

    /// Makes what is missing, and checks what is there.
    pub(super) fn prepare(&self, binaries: &Binaries) -> Result<(), Error> {
        self.make_folder(&self.socket_folder())?;
        if !self.folder().exists() {
            return self.make(binaries);
        }
        let version = self.folder().join("PG_VERSION");
        let found =
            fs::read_to_string(&version).map_err(|error| Error::io(&version, error))?.trim().to_owned();
        if found.parse() != Ok(binaries.major()) {
            return Err(Error::OtherMajor { folder: self.folder(), found, present: binaries.major() });
        }
        Ok(())
    }

    /// A folder for PostgreSQL's user alone.
    fn make_folder(&self, folder: &Path) -> Result<(), Error> {
        let made = DirBuilder::new().mode(0o700).create(folder);
        match made {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(folder, error)),
        }
        let io = |error| Error::io(folder, error);
        let found = fs::symlink_metadata(folder).map_err(io)?;
        let uid = self.owner.as_ref().map_or_else(|| geteuid().as_raw(), |owner| owner.uid);
        if !found.is_dir() || (found.uid() != uid && found.uid() != geteuid().as_raw()) {
            let error = std::io::Error::other("it is not a folder of our own; remove it and try again");
            return Err(Error::io(folder, error));
        }
        if let Some(owner) = &self.owner {
            chown(folder, Some(owner.uid), Some(owner.gid)).map_err(io)?;
        }
        fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(io)
    }

    /// Makes the cluster beside its place and moves it there, so that a crash leaves nothing half made.
    fn make(&self, binaries: &Binaries) -> Result<(), Error> {
        self.remove_unfinished();
        // A name of its own: the initdb of a killed process may still write to its folder.
        let unfinished = self.data_dir.join(format!("{UNFINISHED}{}", std::process::id()));
        self.make_folder(&unfinished)?;
        let password = self.make_password()?;
        let password_for_initdb = self.data_dir.join("postgres.initdb");
        write_secret(&password_for_initdb, &password, self.owner.as_ref())?;
        tracing::info!(folder = %self.folder().display(), "making a private PostgreSQL");
        let mut initdb = Command::new(binaries.program("initdb"));
        initdb.arg("--pgdata").arg(&unfinished).arg("--pwfile").arg(&password_for_initdb);
        initdb.args(["--username=doorward", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
        // What it leaves behind shows whether the disk is full.
        initdb.args(["--data-checksums", "--no-instructions", "--no-clean"]).current_dir("/");
        if let Some(owner) = &self.owner {
            initdb.uid(owner.uid).gid(owner.gid);
        }
        let done = initdb.output();
        let _ = fs::remove_file(&password_for_initdb);
        let done = done.map_err(|error| Error::io(&binaries.program("initdb"), error))?;
        if !done.status.success() {
            let failure = self.failure(&String::from_utf8_lossy(&done.stderr));
            let _ = fs::remove_dir_all(&unfinished);
            return Err(failure);
        }
        fs::rename(&unfinished, self.folder()).map_err(|error| Error::io(&self.folder(), error))
    }

    fn remove_unfinished(&self) {
        for entry in fs::read_dir(&self.data_dir).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    fn make_password(&self) -> Result<String, Error> {
        let password: String = random::bytes::<24>().iter().map(|byte| format!("{byte:02x}")).collect();
        write_secret(&self.password_file(), &password, None)?;
        Ok(password)
    }

    /// What PostgreSQL said, as one of our errors.
    pub(super) fn failure(&self, said: &str) -> Error {
        if said.contains("No space left on device") || self.is_disk_full() {
            return Error::DiskFull(self.data_dir.clone());
        }
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(4)..].join(" / ");
        Error::NotStarted(if last.is_empty() { format!("see {}", self.log_file().display()) } else { last })
    }

    /// Whether not even one more segment of PostgreSQL's log fits.
    fn is_disk_full(&self) -> bool {
        statvfs(&self.data_dir).is_ok_and(|disk| disk.blocks_available() * disk.fragment_size() < WAL_SEGMENT)
    }

    pub(super) fn url(&self, database: &str) -> Result<SocketUrl, Error> {
        let path = self.password_file();
        let password = fs::read_to_string(&path).map_err(|error| Error::io(&path, error))?;
        Ok(SocketUrl::new(&self.socket_folder(), password.trim(), database))
    }

    /// Makes our database, when the cluster is new.
    pub(super) fn ensure_database(&self) -> Result<(), Error> {
        let failed = |error: &dyn std::fmt::Display| self.failure(&error.to_string());
        if PgConnection::establish(self.url("doorward")?.expose()).is_ok() {
            return Ok(());
        }
        let mut connection =
            PgConnection::establish(self.url("postgres")?.expose()).map_err(|error| failed(&error))?;
        let made = diesel::sql_query("CREATE DATABASE doorward").execute(&mut connection);
        made.map(|_| ()).map_err(|error| failed(&error))
    }
}

fn find_owner() -> Result<Owner, Error> {
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .map(|user| Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name })
        .ok_or(Error::NoUser)
}

/// Whether PostgreSQL's user may enter the folder and all above it.
fn check_reach(folder: &Path, owner: &Owner) -> Result<(), Error> {
    for ancestor in folder.ancestors() {
        let found = fs::metadata(ancestor).map_err(|error| Error::io(ancestor, error))?;
        let allowed = match found.mode() {
            mode if found.uid() == owner.uid => mode & 0o100 != 0,
            mode if found.gid() == owner.gid => mode & 0o010 != 0,
            mode => mode & 0o001 != 0,
        };
        if !allowed {
            return Err(Error::Unreachable { user: owner.name.clone(), blocked: ancestor.to_owned() });
        }
    }
    Ok(())
}

fn write_secret(path: &Path, secret: &str, owner: Option<&Owner>) -> Result<(), Error> {
    let io = |error| Error::io(path, error);
    let _ = fs::remove_file(path);
    let mut file: File = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    file.write_all(secret.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    match owner {
        Some(owner) => chown(path, Some(owner.uid), Some(owner.gid)).map_err(io),
        None => Ok(()),
    }
}
