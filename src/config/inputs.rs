//! Inputs of the settings: flags, environment, file, machine.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Names the settings file; no setting of the file itself.
pub const CONFIG_VARIABLE: &str = "DOORWARD_CONFIG";

/// Read by the tests alone.
pub(super) const TEST_VARIABLE: &str = "DOORWARD_TEST_DATABASE_URL";

/// Everything that settings are made from.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The given flags: a setting's key and the value.
    pub flags: Vec<(&'static str, OsString)>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The settings file's path and text.
    pub toml: Option<(PathBuf, String)>,
    /// Whether the process is root's.
    pub is_root: bool,
    /// Processors that the process may use; 0 where unknown.
    pub processors: usize,
    /// Whether this build's libpq can encrypt.
    pub libpq_has_tls: bool,
}

impl Inputs {
    /// A variable of the environment, if it is text.
    #[must_use]
    pub fn find_variable(&self, name: &str) -> Option<&OsStr> {
        self.environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// These inputs with one more variable in the environment.
    #[cfg(test)]
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// These inputs with one more flag.
    #[cfg(test)]
    pub(crate) fn flag(mut self, key: &'static str, value: &str) -> Self {
        self.flags.push((key, value.into()));
        self
    }

    /// These inputs with a settings file.
    #[cfg(test)]
    pub(crate) fn file(mut self, text: &str) -> Self {
        self.toml = Some(("doorward.toml".into(), text.to_owned()));
        self
    }
}
