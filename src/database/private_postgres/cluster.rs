//! The private PostgreSQL's files: the cluster, its passwords, its socket's folder, and their owner.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::digest::{SHA256, digest};
use nix::sys::statvfs::statvfs;
use nix::unistd::{Uid, User, geteuid};

use super::binaries::Binaries;
use super::error::Error;
use super::place::{LOCK_FILE, SocketUrl};
use super::roles::{self, DATABASE, OWNER, SUPERUSER};
use crate::files::{self, FILE_MODE, FOLDER_MODE};
use crate::random;

/// The maximum length of a Unix socket's path in bytes, including [`SOCKET_NAME`].
const SOCKET_PATH_MAX: usize = 107;
const SOCKET_NAME: &str = "/.s.PGSQL.5432";
/// The prefix of the names of unfinished clusters.
const UNFINISHED: &str = "postgres.unfinished.";

/// PostgreSQL's folder in the data folder.
const FOLDER: &str = "postgres";
/// The file with the superuser's password.
const SUPERUSER_PASSWORD: &str = "postgres.password";
/// The file with the password of the role that owns the database.
const OWNER_PASSWORD: &str = "doorward.password";
/// PostgreSQL's log.
const LOG: &str = "postgres.log";
/// The previous log of PostgreSQL.
const OLD_LOG: &str = "postgres.log.1";

/// The files in PostgreSQL's folder without which it does not start.
const NEEDED: [&str; 3] = ["postgresql.conf", "pg_hba.conf", "global/pg_control"];

/// The size of a segment of the write-ahead log, in bytes.
const WAL_SEGMENT: u64 = 16 * 1024 * 1024;

/// The byte order mark, which some editors put at the start of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The user who runs PostgreSQL if doorward runs as root, which PostgreSQL refuses to run as.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    name: String,
}

/// Returns whether the data folder contains a cluster.
pub(super) fn is_in(data_dir: &Path) -> bool {
    data_dir.join(FOLDER).exists()
}

/// Checks that a data folder without a cluster never had one. An interrupted creation leaves at most its
/// unfinished folder and the superuser's password.
pub(super) fn check_not_lost(data_dir: &Path) -> Result<(), Error> {
    let is_there = |name: &str| fs::symlink_metadata(data_dir.join(name)).is_ok_and(|found| found.is_file());
    let is_unfinished = fs::read_dir(data_dir)
        .is_ok_and(|entries| entries.flatten().any(|entry| is_of_unfinished(&entry.file_name())));
    let mut left: Vec<&str> =
        [OWNER_PASSWORD, LOG, OLD_LOG].into_iter().filter(|name| is_there(name)).collect();
    if is_there(SUPERUSER_PASSWORD) && !(is_unfinished && left.is_empty()) {
        left.insert(0, SUPERUSER_PASSWORD);
    }
    if left.is_empty() {
        return Ok(());
    }
    Err(Error::LostCluster { folder: data_dir.join(FOLDER), left: left.join(", ") })
}

fn is_of_unfinished(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes())
}

/// The files of one private PostgreSQL.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    data_dir: PathBuf,
    /// `None` means the user of this process.
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

    /// Returns PostgreSQL's folder.
    pub(super) fn folder(&self) -> PathBuf {
        self.data_dir.join(FOLDER)
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.data_dir.join(LOG)
    }

    /// Removes other users' access to the data folder and its files.
    pub(super) fn repair(&self) -> Result<(), Error> {
        files::repair_data_folder(&self.data_dir)?;
        self.check_owner()?;
        files::repair("PostgreSQL's folder", &self.folder(), FOLDER_MODE)?;
        for name in [SUPERUSER_PASSWORD, OWNER_PASSWORD, LOCK_FILE, LOG, OLD_LOG] {
            files::repair("a file of the data folder", &self.data_dir.join(name), FILE_MODE)?;
        }
        Ok(())
    }

    /// Checks the owner of PostgreSQL's folder, as PostgreSQL does.
    fn check_owner(&self) -> Result<(), Error> {
        let Ok(found) = fs::metadata(self.folder()) else { return Ok(()) };
        let user = self.owner.as_ref().map_or_else(geteuid, |owner| Uid::from_raw(owner.uid));
        if found.uid() == user.as_raw() {
            return Ok(());
        }
        let owner = files::user_name(Uid::from_raw(found.uid()));
        Err(Error::ClusterOwner { folder: self.folder(), owner, user: self.user() })
    }

    /// Returns the name of the user that PostgreSQL runs as.
    fn user(&self) -> String {
        self.owner.as_ref().map_or_else(|| files::user_name(geteuid()), |owner| owner.name.clone())
    }

    /// Returns the socket's folder, which is beside the cluster if possible. Otherwise it is in the folder
    /// for temporary files. This is the case if the path would be too long, or if PostgreSQL would split it,
    /// since it takes a list of paths.
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

    /// Removes the socket's folder if it is in the shared folder for temporary files.
    pub(super) fn remove_socket_folder(&self) {
        let folder = self.socket_folder();
        if !folder.starts_with(&self.data_dir) {
            let _ = fs::remove_dir(folder);
        }
    }

    /// Returns the major version that created the cluster, or `None` if there is no cluster yet.
    pub(super) fn major(&self) -> Option<u32> {
        fs::read_to_string(self.folder().join("PG_VERSION")).ok()?.trim().parse().ok()
    }

    /// Creates what is missing, and checks what exists.
    pub(super) fn prepare(&self, binaries: &Binaries) -> Result<(), Error> {
        if !self.folder().exists() {
            check_not_lost(&self.data_dir)?;
        }
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
        self.check_undamaged()
    }

    /// Checks that PostgreSQL's folder has the files without which PostgreSQL does not start.
    fn check_undamaged(&self) -> Result<(), Error> {
        let folder = self.folder();
        let is_missing = |name: &&str| {
            let found = fs::symlink_metadata(folder.join(name));
            found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        };
        let missing: Vec<&str> = NEEDED.into_iter().filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(", ");
        let left: Vec<&str> = [SUPERUSER_PASSWORD, OWNER_PASSWORD, LOG, OLD_LOG]
            .into_iter()
            .filter(|name| self.data_dir.join(name).exists())
            .collect();
        let left = left.join(", ");
        Err(Error::DamagedCluster { folder, missing, left })
    }

    /// Creates a folder that only PostgreSQL's user can access.
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
            return Err(Error::ForeignFolder(folder.to_owned()));
        }
        if let Some(owner) = &self.owner {
            chown(folder, Some(owner.uid), Some(owner.gid)).map_err(io)?;
        }
        fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)).map_err(io)
    }

    /// Creates the cluster under a temporary name and then renames it, so that a crash leaves nothing
    /// incomplete.
    fn make(&self, binaries: &Binaries) -> Result<(), Error> {
        check_user_name()?;
        // The password file goes first, since without an unfinished folder it would mean that a cluster was
        // lost.
        let _ = fs::remove_file(self.data_dir.join(SUPERUSER_PASSWORD));
        self.remove_unfinished();
        // The name contains the process ID, because the initdb of a killed process may still write to its own
        // folder.
        let unfinished = self.data_dir.join(format!("{UNFINISHED}{}", std::process::id()));
        self.make_folder(&unfinished)?;
        let password = create_password(&self.data_dir.join(SUPERUSER_PASSWORD))?;
        let password_for_initdb = self.data_dir.join("postgres.initdb");
        write_secret(&password_for_initdb, &password, self.owner.as_ref())?;
        tracing::info!(folder = %self.folder().display(), "creating a private PostgreSQL");
        let mut initdb = Command::new(binaries.program("initdb"));
        initdb.arg("--pgdata").arg(&unfinished).arg("--pwfile").arg(&password_for_initdb);
        initdb.arg(format!("--username={SUPERUSER}"));
        initdb.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
        // With --no-clean, initdb's files keep taking up space, which shows whether the disk is full.
        initdb.args(["--data-checksums", "--no-instructions", "--no-clean"]).current_dir("/");
        if let Some(owner) = &self.owner {
            initdb.uid(owner.uid).gid(owner.gid);
        }
        let done = initdb.output();
        let _ = fs::remove_file(&password_for_initdb);
        let done = done.map_err(|error| Error::io(&binaries.program("initdb"), error))?;
        if !done.status.success() {
            let failure = self.failure(&String::from_utf8_lossy(&done.stderr));
            let _ = fs::remove_file(self.data_dir.join(SUPERUSER_PASSWORD));
            let _ = fs::remove_dir_all(&unfinished);
            return Err(failure);
        }
        fs::rename(&unfinished, self.folder()).map_err(|error| Error::io(&self.folder(), error))
    }

    fn remove_unfinished(&self) {
        for entry in fs::read_dir(&self.data_dir).into_iter().flatten().flatten() {
            if is_of_unfinished(&entry.file_name()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Turns PostgreSQL's output into an error.
    pub(super) fn failure(&self, said: &str) -> Error {
        if said.contains("No space left on device") || self.is_disk_full() {
            return Error::DiskFull(self.data_dir.clone());
        }
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(4)..].join(" / ");
        Error::NotStarted(if last.is_empty() { format!("see {}", self.log_file().display()) } else { last })
    }

    /// Returns whether not even one more segment of the write-ahead log fits on the disk.
    fn is_disk_full(&self) -> bool {
        statvfs(&self.data_dir).is_ok_and(|disk| disk.blocks_available() * disk.fragment_size() < WAL_SEGMENT)
    }

    /// Returns the URL of doorward's database, with its owner as the user. If there is no owner yet, as in a
    /// cluster of the previous version, returns the superuser's URL.
    pub(super) fn url(&self) -> Result<SocketUrl, Error> {
        if self.data_dir.join(OWNER_PASSWORD).exists() {
            self.url_of(OWNER, OWNER_PASSWORD, DATABASE)
        } else {
            self.superuser_url(DATABASE)
        }
    }

    /// Returns the superuser's URL of a database.
    pub(super) fn superuser_url(&self, database: &str) -> Result<SocketUrl, Error> {
        self.url_of(SUPERUSER, SUPERUSER_PASSWORD, database).map_err(|error| match error {
            Error::File(missing) if missing.kind() == Some(std::io::ErrorKind::NotFound) => {
                self.lost_password("is missing")
            }
            other => other,
        })
    }

    fn url_of(&self, role: &str, password_file: &str, database: &str) -> Result<SocketUrl, Error> {
        let password = self.read_password(password_file)?;
        Ok(SocketUrl::new(&self.socket_folder(), role, &password, database))
    }

    fn read_password(&self, name: &str) -> Result<String, Error> {
        let path = self.data_dir.join(name);
        let text = files::read_secret("the password file of the private PostgreSQL", &path)?;
        let password =
            text.trim_matches(|letter| matches!(letter, ' ' | '\t' | '\r' | '\n' | BYTE_ORDER_MARK));
        let why = match password {
            "" => "is empty",
            odd if odd.contains(char::is_control) => "contains a control character",
            _ => return Ok(password.to_owned()),
        };
        Err(if name == OWNER_PASSWORD { Error::OwnerPassword { path, why } } else { self.lost_password(why) })
    }

    fn lost_password(&self, how: &'static str) -> Error {
        Error::LostPassword {
            path: self.data_dir.join(SUPERUSER_PASSWORD),
            how,
            folder: self.folder(),
            user: self.user(),
        }
    }

    /// Creates the database and its owner if they are missing, as they are in every cluster of an earlier
    /// version.
    pub(super) fn ensure_database(&self) -> Result<(), Error> {
        let of_superuser = self.superuser_url("postgres")?;
        let path = self.data_dir.join(OWNER_PASSWORD);
        if path.exists() && roles::is_in_order(self.url()?.expose()) {
            return Ok(());
        }
        let connect = |url: &SocketUrl| {
            roles::connect_superuser(url.expose()).map_err(|said| match said {
                said if said.contains("password authentication failed") => {
                    self.lost_password("has another password")
                }
                said => self.failure(&said),
            })
        };
        let failed = |error: diesel::result::Error| self.failure(&error.to_string());
        let mut connection = connect(&of_superuser)?;
        let password =
            if path.exists() { self.read_password(OWNER_PASSWORD)? } else { create_password(&path)? };
        roles::create_owner_and_database(&mut connection, &password).map_err(failed)?;
        roles::hand_over(&mut connect(&self.superuser_url(DATABASE)?)?).map_err(failed)
    }
}

/// Checks that the user has a name. initdb needs it, and some containers run as a user ID without one.
fn check_user_name() -> Result<(), Error> {
    let uid = geteuid();
    if uid.is_root() || User::from_uid(uid).is_ok_and(|user| user.is_some()) {
        return Ok(());
    }
    Err(Error::NamelessUser(uid.as_raw()))
}

fn find_owner() -> Result<Owner, Error> {
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .map(|user| Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name })
        .ok_or(Error::NoUser)
}

/// Checks that PostgreSQL's user may enter the folder and all folders above it.
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

fn create_password(path: &Path) -> Result<String, Error> {
    let password: String = random::bytes::<24>().iter().map(|byte| format!("{byte:02x}")).collect();
    write_secret(path, &password, None)?;
    Ok(password)
}

fn write_secret(path: &Path, secret: &str, owner: Option<&Owner>) -> Result<(), Error> {
    let io = |error| Error::io(path, error);
    let _ = fs::remove_file(path);
    files::create(path, secret.as_bytes()).map_err(io)?;
    match owner {
        Some(owner) => chown(path, Some(owner.uid), Some(owner.gid)).map_err(io),
        None => Ok(()),
    }
}
