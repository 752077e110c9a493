//! The private PostgreSQL's folder, programs and URL.

use std::fmt;
use std::path::{Path, PathBuf};

pub(super) const LOCK_FILE: &str = "doorward.lock";

/// The folders and programs of the private PostgreSQL.
#[derive(Clone, Debug)]
pub struct Options {
    pub data_dir: PathBuf,
    /// Folders that are searched first for PostgreSQL's programs.
    pub path: Vec<PathBuf>,
    /// doorward's own executable, which runs between the server and PostgreSQL while that starts.
    pub executable: PathBuf,
    pub max_connections: u32,
}

/// The URL of the private PostgreSQL. It contains the password, so it is never printed.
#[derive(Clone)]
pub struct SocketUrl(String);

impl SocketUrl {
    /// Returns the URL in clear text, for libpq.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn new(socket_folder: &Path, role: &str, password: &str, database: &str) -> Self {
        let escape = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        let escaped = |bytes: &[u8]| bytes.iter().copied().map(escape).collect::<String>();
        let (password, folder) =
            (escaped(password.as_bytes()), escaped(socket_folder.as_os_str().as_encoded_bytes()));
        Self(format!("postgresql://{role}:{password}@{folder}/{database}"))
    }
}

impl fmt::Debug for SocketUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SocketUrl")
    }
}
