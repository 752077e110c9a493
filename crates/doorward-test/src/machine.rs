//! The parts of this machine that a test's processes use.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::unistd::{Uid, User};

/// Returns a port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Creates a folder that PostgreSQL's user can reach. It is deleted when the value is dropped.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("dw").tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Returns the folder of PostgreSQL's server programs.
pub fn postgres_programs() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/postgres-bin");
        let output = Command::new(script).output().unwrap();
        assert!(output.status.success(), "there is no PostgreSQL: scripts/install-missing postgres");
        String::from_utf8(output.stdout).unwrap().trim().into()
    })
}

/// Returns the user to run PostgreSQL as, if this process runs as root. PostgreSQL refuses to run as root.
pub fn postgres_user() -> Option<User> {
    let other = || ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).unwrap());
    Uid::effective().is_root().then(|| other().expect("a user for PostgreSQL"))
}
