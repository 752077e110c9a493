//! Checks a settings file that no one named. As root, doorward reads the one in the current folder only if no
//! other user could have put it there.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

/// The mode bits that let others write: the group, or all users.
const WRITABLE: u32 = 0o022;
/// The mode bit of a folder in which users can replace only their own files.
const STICKY: u32 = 0o1000;

/// Returns a message if a user other than root and `trusted` could have written or replaced the file.
pub(super) fn find_untrusted(file: &Path, trusted: u32) -> Option<String> {
    let reason = match find_reason(file, trusted) {
        Ok(reason) => reason?,
        Err(error) => format!("it cannot be read: {error}"),
    };
    let name = file.display();
    Some(format!(
        "{name}: doorward runs as root, no flag or variable names this file, and {reason}. If you trust the \
         file, name it: --config {name} or DOORWARD_CONFIG={name}. Otherwise run doorward from another \
         folder"
    ))
}

fn find_reason(file: &Path, trusted: u32) -> io::Result<Option<String>> {
    let real = file.canonicalize()?;
    let mut folder = std::env::current_dir()?;
    folder.push(file);
    folder.pop();
    let named = folder.canonicalize()?;
    for path in [folder.join(file.file_name().unwrap_or_default()), real.clone()] {
        // The mode of a link has no effect.
        let found = fs::symlink_metadata(&path)?;
        let judged = judge(&path, &found, trusted, if found.is_symlink() { 0 } else { WRITABLE });
        if judged.is_some() {
            return Ok(judged);
        }
    }
    let real_folder = real.parent().map_or_else(PathBuf::new, Path::to_owned);
    for start in [named, real_folder] {
        for (height, path) in start.ancestors().enumerate() {
            let found = fs::symlink_metadata(path)?;
            let is_safe_above = height > 0 && found.mode() & STICKY != 0;
            let judged = judge(path, &found, trusted, if is_safe_above { 0 } else { WRITABLE });
            if judged.is_some() {
                return Ok(judged);
            }
        }
    }
    Ok(None)
}

fn judge(path: &Path, found: &Metadata, trusted: u32, forbidden: u32) -> Option<String> {
    let path = path.display();
    if found.uid() != 0 && found.uid() != trusted {
        let owner = Uid::from_raw(found.uid());
        let named = User::from_uid(owner).ok().flatten();
        let owner = named.map_or_else(|| format!("the user id {owner}"), |user| user.name);
        return Some(format!("{path} belongs to {owner}"));
    }
    (found.mode() & forbidden != 0)
        .then(|| format!("others can write to {path} (mode {:04o})", found.mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Creates `outer/inner/doorward.toml`, which belongs to this process's user.
    fn file() -> (tempfile::TempDir, PathBuf, u32) {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let file = inner.join("doorward.toml");
        fs::write(&file, "").unwrap();
        for (path, mode) in [(outer.path(), 0o755), (&inner, 0o755), (&file, 0o644)] {
            set_mode(path, mode);
        }
        let own = fs::metadata(&file).unwrap().uid();
        (outer, file, own)
    }

    #[test]
    fn file_that_only_its_owner_can_write_is_trusted() {
        let (_kept, file, own) = file();
        assert_eq!(find_untrusted(&file, own), None);
    }

    #[test]
    fn file_is_distrusted_if_others_can_write_it_or_a_folder_above() {
        let (outer, file, own) = file();
        let inner = file.parent().unwrap();
        for (path, open, closed) in [
            (file.as_path(), 0o664, 0o644),
            (file.as_path(), 0o646, 0o644),
            (inner, 0o775, 0o755),
            (inner, 0o1777, 0o755),
            (outer.path(), 0o757, 0o755),
        ] {
            set_mode(path, open);
            let said = find_untrusted(&file, own).unwrap();
            let shown = path.canonicalize().unwrap();
            assert!(said.contains(&format!("others can write to {}", shown.display())), "{said}");
            assert!(said.contains("--config"), "{said}");
            set_mode(path, closed);
        }
        set_mode(outer.path(), 0o1777);
        assert_eq!(find_untrusted(&file, own), None, "nobody else replaces what is in a sticky folder");
    }

    #[test]
    fn file_is_distrusted_if_another_user_owns_it() {
        let (_kept, file, own) = file();
        if own != 0 {
            return;
        }
        for path in [file.as_path(), file.parent().unwrap()] {
            chown(path, Some(54_321), None).unwrap();
            let said = find_untrusted(&file, own).unwrap();
            assert!(said.contains("belongs to the user id 54321"), "{said}");
            chown(path, Some(0), None).unwrap();
        }
    }

    #[test]
    fn symlink_is_judged_by_its_target() {
        let (outer, file, own) = file();
        let elsewhere = outer.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        set_mode(&elsewhere, 0o777);
        let target = elsewhere.join("doorward.toml");
        fs::write(&target, "").unwrap();
        set_mode(&target, 0o644);
        fs::remove_file(&file).unwrap();
        symlink(&target, &file).unwrap();
        assert!(find_untrusted(&file, own).unwrap().contains("elsewhere"));
        set_mode(&elsewhere, 0o755);
        assert_eq!(find_untrusted(&file, own), None);
    }
}
