//! Creates and checks doorward's own files and folders. They are created for their owner alone, corrected at
//! each start, and read only if nobody else could have written them.

mod error;

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{Uid, geteuid};
use uuid::Uuid;

pub(crate) use error::{FileError, user_name};

/// The mode of all files.
pub(crate) const FILE_MODE: u32 = 0o600;
/// The mode of a folder that only its owner may enter.
pub(crate) const FOLDER_MODE: u32 = 0o700;
/// The mode of a folder that PostgreSQL's user must pass through.
const PASSABLE_MODE: u32 = 0o711;
/// The largest secret file, in bytes.
const SECRET_MAX: u64 = 64 * 1024;
/// The prefixes of names in the data folder that doorward, its PostgreSQL or the file system creates.
const OWN_NAMES: [&str; 5] = ["postgres", "secret.", "doorward.", "socket", "lost+found"];

/// Returns the mode of the data folder. If doorward runs as root, PostgreSQL runs as another user, who must
/// pass through this folder to reach its own.
#[must_use]
pub(crate) fn data_folder_mode() -> u32 {
    if geteuid().is_root() { PASSABLE_MODE } else { FOLDER_MODE }
}

/// Creates a folder and its missing parents. Their modes do not depend on the umask.
pub(crate) fn create_folders(what: &'static str, folder: &Path, mode: u32) -> Result<(), FileError> {
    refuse_planted_links(what, folder)?;
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !is_there(path)).collect();
    for path in missing.into_iter().rev() {
        let created = DirBuilder::new().mode(mode).create(path);
        match created.and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode))) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(FileError::io(what, path, error));
            }
            _ => {}
        }
    }
    if folder.is_dir() { Ok(()) } else { Err(FileError::io(what, folder, ErrorKind::NotADirectory.into())) }
}

/// Refuses a folder whose path contains a link of another user, who could lead it anywhere.
///
/// # Errors
/// [`FileError::Elsewhere`].
pub(crate) fn refuse_planted_links(what: &'static str, folder: &Path) -> Result<(), FileError> {
    // Without the slash at the end, which would follow the link.
    for path in folder.components().as_path().ancestors() {
        if let Some(owner) = find_foreign_link(path) {
            let why = format!("is a link that belongs to {}", user_name(owner));
            return Err(FileError::Elsewhere { what, path: path.to_owned(), why });
        }
    }
    Ok(())
}

/// Returns the owner of a link that belongs neither to root nor to the user of this process.
fn find_foreign_link(path: &Path) -> Option<Uid> {
    let link = fs::symlink_metadata(path).ok().filter(Metadata::is_symlink)?;
    Some(Uid::from_raw(link.uid())).filter(|owner| !is_trusted(*owner))
}

/// Returns true for root and the user of this process.
fn is_trusted(owner: Uid) -> bool {
    owner.is_root() || owner == geteuid()
}

fn is_there(path: &Path) -> bool {
    path.as_os_str().is_empty() || fs::metadata(path).is_ok()
}

/// Creates a file with this content. It does not overwrite any file, and the mode does not depend on the
/// umask.
pub(crate) fn create(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut file = File::options().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(file)
}

/// Opens a file for reading and appending, and creates it if it is missing. Others may have planted something
/// under its name. A link of another user is therefore not followed, and a file of another user or with a
/// second name is refused.
///
/// # Errors
/// [`FileError::Elsewhere`] or [`FileError::Owner`] for such a file; otherwise the operating system's.
pub(crate) fn open_kept(what: &'static str, path: &Path) -> Result<File, FileError> {
    let io = |error| FileError::io(what, path, error);
    let elsewhere = |why| FileError::Elsewhere { what, path: path.to_owned(), why };
    if let Some(owner) = find_foreign_link(path) {
        return Err(elsewhere(format!("is a link that belongs to {}", user_name(owner))));
    }
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    let place = if is_link { fs::canonicalize(path).map_err(io)? } else { path.to_owned() };
    let mut options = File::options();
    // Without `O_NONBLOCK`, opening a pipe would wait for its writer.
    options.read(true).append(true).create(true).mode(FILE_MODE).custom_flags(O_NOFOLLOW | O_NONBLOCK);
    let file = options.open(place).map_err(io)?;
    let found = file.metadata().map_err(io)?;
    if !found.is_file() {
        return Err(elsewhere("is not a regular file".to_owned()));
    }
    if found.nlink() > 1 {
        return Err(elsewhere("has a second name (a hard link)".to_owned()));
    }
    check_owner(what, path, &found)?;
    Ok(file)
}

/// Deletes files that a killed process left in a folder. Their names are `prefix`, a UUID and `suffix`. A
/// file that another process has locked is in use and stays.
pub(crate) fn delete_leftovers(folder: &Path, prefix: &str, suffix: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(prefix)?.strip_suffix(suffix));
        if id.is_none_or(|id| Uuid::try_parse(id).is_err())
            || !entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            continue;
        }
        let is_unused = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if is_unused && fs::remove_file(entry.path()).is_ok() {
            tracing::info!(file = %entry.path().display(), "deleted a file that a killed process left behind");
        }
    }
}

/// Checks the owner of the data folder. Revokes access that a copy or Kubernetes' `fsGroup` has granted to
/// others.
///
/// # Errors
/// [`FileError::Owner`], [`FileError::Elsewhere`], or the operating system's.
pub(crate) fn repair_data_folder(folder: &Path) -> Result<(), FileError> {
    const WHAT: &str = "the data folder";
    refuse_planted_links(WHAT, folder)?;
    let found = fs::metadata(folder).map_err(|error| FileError::io(WHAT, folder, error))?;
    check_owner(WHAT, folder, &found)?;
    if found.mode() & 0o777 & !data_folder_mode() == 0 {
        return Ok(());
    }
    let is_own = found.uid() == geteuid().as_raw();
    if is_own && holds_only_own(folder) {
        return repair(WHAT, folder, data_folder_mode());
    }
    if found.mode() & 0o022 != 0 {
        let advice = if is_own {
            "it also contains other files: give doorward a folder of its own"
        } else {
            "doorward is not allowed to change its mode: set DOORWARD_DATA_DIR to a folder below it, which \
             doorward creates"
        };
        let folder = folder.display();
        tracing::warn!(%folder, mode = %octal(&found), advice, "others can write to the data folder");
    }
    Ok(())
}

fn holds_only_own(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().all(|entry| {
            let name = entry.file_name();
            OWN_NAMES.iter().any(|own| name.as_encoded_bytes().starts_with(own.as_bytes()))
        })
    })
}

/// Revokes other users' access to a file or folder. Does nothing if it does not exist, or if it is a file
/// with a second name, which may be another program's.
pub(crate) fn repair(what: &'static str, path: &Path, mode: u32) -> Result<(), FileError> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.map_err(|error| FileError::io(what, path, error))?,
    };
    let has_second_name = found.is_file() && found.nlink() > 1;
    if found.is_symlink() || has_second_name || found.mode() & 0o777 & !mode == 0 {
        return Ok(());
    }
    let changed = fs::set_permissions(path, Permissions::from_mode(mode));
    changed.map_err(|error| FileError::io(what, path, error))?;
    let (path, before, now) = (path.display(), octal(&found), format!("{mode:04o}"));
    tracing::warn!(%path, %before, now, "removed the access of other users");
    Ok(())
}

fn octal(found: &Metadata) -> String {
    format!("{:04o}", found.mode() & 0o7777)
}

/// Reads a file that only its owner may read. The owner must be the user of this process or root.
pub(crate) fn read_secret(what: &'static str, path: &Path) -> Result<String, FileError> {
    let io = |error| FileError::io(what, path, error);
    // A pipe is not opened, because that would wait for its writer.
    let is_file = fs::metadata(path).map_err(io)?.is_file();
    if !is_file {
        return Err(io(io::Error::new(ErrorKind::InvalidInput, "not a regular file")));
    }
    let file = File::open(path).map_err(io)?;
    let found = file.metadata().map_err(io)?;
    check_owner(what, path, &found)?;
    if found.len() > SECRET_MAX {
        let reason = format!("longer than {SECRET_MAX} bytes");
        return Err(io(io::Error::new(ErrorKind::FileTooLarge, reason)));
    }
    if is_open(&found) {
        let is_own = geteuid().is_root() || found.uid() == geteuid().as_raw();
        let advice = how_to_close(path, &octal(&found), is_own, is_read_only(path));
        return Err(FileError::Open { what, path: path.to_owned(), advice });
    }
    io::read_to_string(file.take(SECRET_MAX)).map_err(io)
}

fn check_owner(what: &'static str, path: &Path, found: &Metadata) -> Result<(), FileError> {
    let owner = Uid::from_raw(found.uid());
    if is_trusted(owner) {
        return Ok(());
    }
    Err(FileError::Owner { what, path: path.to_owned(), owner: user_name(owner) })
}

fn is_open(found: &Metadata) -> bool {
    let is_readers = found.uid() == 0 && !geteuid().is_root() && is_own_group(found.gid());
    found.mode() & 0o777 & !allowed_mode(is_readers) != 0
}

/// Returns the permissions that a secret file may grant. A group of this process may read a file of root,
/// because Kubernetes mounts secrets like this with `fsGroup`.
fn allowed_mode(is_roots_for_own_group: bool) -> u32 {
    if is_roots_for_own_group { 0o740 } else { 0o700 }
}

fn is_own_group(gid: u32) -> bool {
    #[cfg(not(target_vendor = "apple"))]
    if nix::unistd::getgroups().is_ok_and(|groups| groups.iter().any(|own| own.as_raw() == gid)) {
        return true;
    }
    nix::unistd::getegid().as_raw() == gid
}

fn how_to_close(path: &Path, mode: &str, is_own: bool, is_read_only: bool) -> String {
    if is_own && !is_read_only {
        return format!("chmod 600 {}", path.display());
    }
    let why = if is_own { "the mount is read-only" } else { "root owns it" };
    format!(
        "its mode is {mode}, and {why}. Set the mode where the file is mounted. Kubernetes: defaultMode: \
         0400, or 0440 with an fsGroup if doorward does not run as root; Docker and Compose: mode: 0400 and \
         the uid of doorward's user"
    )
}

fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|mount| mount.flags().contains(FsFlags::ST_RDONLY))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        (folder, path)
    }

    #[test]
    fn created_folders_are_private() {
        let (_kept, path) = folder();
        create_folders("x", &path.join("a/b"), FOLDER_MODE).unwrap();
        assert_eq!([mode(&path.join("a")), mode(&path.join("a/b"))], [0o700; 2]);
        fs::write(path.join("file"), "").unwrap();
        let refused = create_folders("the data folder", &path.join("file/x"), FOLDER_MODE).unwrap_err();
        assert!(refused.to_string().contains("Something else has this name: move"), "{refused}");
    }

    #[test]
    fn created_file_does_not_overwrite_another() {
        let (_kept, path) = folder();
        create(&path.join("new"), b"new").unwrap();
        assert_eq!(mode(&path.join("new")), 0o600);
        std::os::unix::fs::symlink(path.join("elsewhere"), path.join("link")).unwrap();
        for taken in ["new", "link"] {
            let refused = create(&path.join(taken), b"other").unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        }
        assert!(!path.join("elsewhere").exists());
    }

    #[test]
    fn secret_is_read_from_a_regular_file_of_bounded_size() {
        let (_kept, path) = folder();
        nix::unistd::mkfifo(&path.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        create(&path.join("whole"), &[b'x'; 64 * 1024]).unwrap();
        create(&path.join("long"), &[b'x'; 64 * 1024 + 1]).unwrap();
        let read = |name: &str| read_secret("the secret key", &path.join(name));
        assert_eq!(read("whole").unwrap().len(), 64 * 1024);
        for (name, reason) in [("pipe", "not a regular file"), ("long", "longer than 65536 bytes")] {
            let refused = read(name).unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
    }

    #[test]
    fn kept_file_is_not_opened_through_a_planted_name() {
        let (_kept, path) = folder();
        fs::write(path.join("victim"), "kept").unwrap();
        fs::hard_link(path.join("victim"), path.join("second name")).unwrap();
        nix::unistd::mkfifo(&path.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let link = |name: &str| std::os::unix::fs::symlink(path.join("victim"), path.join(name)).unwrap();
        for (name, why) in [("second name", "a hard link"), ("pipe", "is not a regular file")] {
            let refused = open_kept("the lock", &path.join(name)).unwrap_err().to_string();
            assert!(refused.contains(why) && refused.contains("delete it (rm "), "{refused}");
        }
        fs::remove_file(path.join("second name")).unwrap();
        link("link");
        open_kept("the log", &path.join("link")).unwrap().write_all(b" by its owner").unwrap();
        assert_eq!(fs::read_to_string(path.join("victim")).unwrap(), "kept by its owner");
        open_kept("the log", &path.join("new")).unwrap();
        assert_eq!(mode(&path.join("new")), 0o600);
        if geteuid().is_root() {
            std::os::unix::fs::lchown(path.join("link"), Some(54321), None).unwrap();
            let refused = open_kept("the log", &path.join("link")).unwrap_err().to_string();
            assert!(refused.contains("is a link that belongs to the user id 54321"), "{refused}");
            std::os::unix::fs::chown(path.join("new"), Some(54321), None).unwrap();
            let refused = open_kept("the log", &path.join("new")).unwrap_err().to_string();
            assert!(refused.contains("belongs to the user id 54321"), "{refused}");
        }
    }

    #[test]
    fn file_with_a_second_name_keeps_its_mode() {
        let (_kept, path) = folder();
        create(&path.join("victim"), b"").unwrap();
        fs::set_permissions(path.join("victim"), Permissions::from_mode(0o644)).unwrap();
        fs::hard_link(path.join("victim"), path.join("postgres.log")).unwrap();
        repair("a file", &path.join("postgres.log"), FILE_MODE).unwrap();
        assert_eq!(mode(&path.join("victim")), 0o644);
        fs::remove_file(path.join("victim")).unwrap();
        repair("a file", &path.join("postgres.log"), FILE_MODE).unwrap();
        assert_eq!(mode(&path.join("postgres.log")), 0o600);
    }

    #[test]
    fn folder_behind_a_link_of_another_user_is_refused() {
        let (_kept, path) = folder();
        let link = path.join("link");
        fs::create_dir(path.join("target")).unwrap();
        std::os::unix::fs::symlink(path.join("target"), &link).unwrap();
        create_folders("the data folder", &link.join("own"), FOLDER_MODE).unwrap();
        if geteuid().is_root() {
            std::os::unix::fs::lchown(&link, Some(54321), None).unwrap();
            for planted in [link.clone(), path.join("link/"), link.join("."), link.join("new")] {
                let refused = create_folders("the data folder", &planted, FOLDER_MODE).unwrap_err();
                assert!(refused.to_string().contains("belongs to the user id 54321"), "{refused}");
                assert!(repair_data_folder(&planted).is_err(), "{}", planted.display());
            }
            assert!(!path.join("target/new").exists());
        }
    }

    #[test]
    fn data_folder_mode_is_corrected_unless_shared() {
        let (_kept, path) = folder();
        let data = path.join("data");
        create_folders("x", &data, 0o777).unwrap();
        fs::write(data.join("postgres.log"), "").unwrap();
        repair_data_folder(&data).unwrap();
        assert_eq!(mode(&data), data_folder_mode());
        fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
        fs::write(data.join("of another program"), "").unwrap();
        repair_data_folder(&data).unwrap();
        assert_eq!(mode(&data), 0o755, "another program may need it so");
    }

    #[test]
    fn secret_is_read_only_if_private() {
        let (_kept, path) = folder();
        let secret = path.join("secret");
        create(&secret, b"text").unwrap();
        assert_eq!(read_secret("the secret", &secret).unwrap(), "text");
        for open in [0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(&secret, Permissions::from_mode(open)).unwrap();
            let refused = read_secret("the secret", &secret).unwrap_err().to_string();
            assert!(refused.ends_with(&format!("chmod 600 {}", secret.display())), "{refused}");
        }
    }

    #[test]
    fn mounted_secret_gets_advice_for_its_mount() {
        let advice = |is_own, is_read_only| how_to_close(Path::new("/run/key"), "0444", is_own, is_read_only);
        for mounted in [advice(true, true), advice(false, true), advice(false, false)] {
            assert!(mounted.contains("defaultMode: 0400") && !mounted.contains("chmod"), "{mounted}");
        }
        assert_eq!(advice(true, false), "chmod 600 /run/key");
        assert_eq!([allowed_mode(true), allowed_mode(false)], [0o740, 0o700]);
    }

    #[test]
    fn missing_secret_is_reported_with_a_remedy() {
        let (_kept, path) = folder();
        let refused = read_secret("the password file", &path.join("gone")).unwrap_err();
        let said = refused.to_string();
        assert!(said.starts_with("the password file /") && said.contains("Restore it"), "{said}");
    }

    #[test]
    fn leftovers_are_deleted_unless_they_are_in_use() {
        let (_folder, path) = folder();
        let id = "0192d7a0-0000-7000-8000-00000000000";
        for name in ["1.unfinished", "2.unfinished", "3.unfinished.old", "4"] {
            fs::write(path.join(format!("secret.{id}{name}")), "").unwrap();
        }
        for name in ["secret.key", "secret.key.unfinished"] {
            fs::write(path.join(name), "").unwrap();
        }
        let in_use = File::open(path.join(format!("secret.{id}2.unfinished"))).unwrap();
        in_use.lock().unwrap();
        delete_leftovers(&path, "secret.", ".unfinished");
        let mut left: Vec<_> =
            fs::read_dir(&path).unwrap().flatten().map(|entry| entry.file_name()).collect();
        left.sort();
        let [used, other, bare] =
            ["2.unfinished", "3.unfinished.old", "4"].map(|end| format!("secret.{id}{end}"));
        assert_eq!(left, [used.as_str(), &other, &bare, "secret.key", "secret.key.unfinished"]);
        delete_leftovers(&path.join("nowhere"), "secret.", ".unfinished");
    }
}
