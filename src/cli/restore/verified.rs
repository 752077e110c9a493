//! A backup with a checked proof. It is a copy that only this process uses, because anyone who can write to
//! the original could change it between the check and the restore.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::app::secrets;
use crate::cli::backup_proof::{Copied, Proof, copy};
use crate::cli::failure::Failure;
use crate::config::{Settings, temporary_folder};
use crate::files;
use crate::random;

/// The prefix of the copies' names.
const PREFIX: &str = "doorward.restore.";

/// The copy. It is deleted when this is dropped.
pub(super) struct Verified {
    path: PathBuf,
    /// The open file. It is locked, so that another restore does not delete it as a leftover.
    _file: File,
}

impl Verified {
    /// Copies the whole backup, and checks its proof before any of it is used.
    ///
    /// # Errors
    /// The backup cannot be read or copied, its proof is wrong, or it has no proof and `unauthenticated` is
    /// false.
    pub(super) fn copy(file: &Path, settings: &Settings, unauthenticated: bool) -> Result<Self, Failure> {
        let folder = if settings.data_dir.is_dir() { settings.data_dir.clone() } else { temporary_folder() };
        files::delete_leftovers(&folder, PREFIX, "");
        let path = folder.join(format!("{PREFIX}{}", random::id()));
        let to = files::create(&path, b"").map_err(|error| failed(&path, &error))?;
        // Created first, so that the copy is deleted on every failure.
        let verified = Self { path, _file: to.try_clone().map_err(|error| failed(file, &error))? };
        // If the file system has no locks, as some network file systems, leftovers are never deleted.
        let _ = to.try_lock();
        let copied = if file.as_os_str() == "-" {
            copy(io::stdin().lock(), &to)
        } else {
            File::open(file).and_then(|from| copy(from, &to))
        };
        let copied = copied.map_err(|error| failed(file, &error))?;
        check(&copied, file, settings, unauthenticated)?;
        Ok(verified)
    }

    #[must_use]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Verified {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("the backup could not be copied for verification: {}: {error}", path.display()))
}

fn check(copied: &Copied, file: &Path, settings: &Settings, unauthenticated: bool) -> Result<(), Failure> {
    if !copied.has_proof() && unauthenticated {
        return Ok(());
    }
    let keys = secrets::load(settings, false).map_err(|error| Failure::new(error.to_string()))?;
    let file = file.display();
    match copied.proof(&keys) {
        Proof::Good => Ok(()),
        Proof::Wrong => Err(Failure::new(format!(
            "none of the secret keys verifies the backup {file}: it was changed or damaged after it was \
             made, or made with another key. If the secret key was replaced since, add the earlier key to \
             DOORWARD_SECRET_KEY, after the current one; nothing was changed"
        ))),
        Proof::Missing => Err(Failure::new(format!(
            "the backup {file} has no HMAC: an earlier doorward or pg_dump made it, or its end was cut off. \
             Anyone who could write to it may have added users, passwords and statements. If you know where \
             it has been since it was made, add --unauthenticated; nothing was changed"
        ))),
    }
}
