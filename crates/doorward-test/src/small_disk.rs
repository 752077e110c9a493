//! A small disk in memory, which only root can mount.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted disk. Dropping this unmounts it.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a disk. Returns `None` if that fails.
    pub fn mount(path: &Path, megabytes: usize) -> Option<Self> {
        let options = format!("size={megabytes}m,mode=755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
