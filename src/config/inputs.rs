//! The inputs of the settings: flags, environment, file, and facts about the machine.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The variable that names the settings file. It is not a setting in that file.
pub(super) const CONFIG_VARIABLE: &str = "DOORWARD_CONFIG";

/// A variable that only the tests read.
pub(super) const TEST_VARIABLE: &str = "DOORWARD_TEST_DATABASE_URL";

/// All inputs that the settings are made from.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The given flags, each with the setting's key and the value.
    pub flags: Vec<(&'static str, OsString)>,
    pub environment: Vec<(OsString, OsString)>,
    /// The settings file's path and text.
    pub toml: Option<(PathBuf, String)>,
    pub is_root: bool,
    /// The number of processors that the process may use, or 0 if unknown.
    pub processors: usize,
    /// True if this build's libpq can encrypt.
    pub libpq_has_tls: bool,
}

impl Inputs {
    /// Returns a variable of the environment.
    #[must_use]
    pub fn find_variable(&self, name: &str) -> Option<&OsStr> {
        self.environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// Adds a variable to the environment.
    #[cfg(test)]
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Adds a flag.
    #[cfg(test)]
    pub(crate) fn flag(mut self, key: &'static str, value: &str) -> Self {
        self.flags.push((key, value.into()));
        self
    }

    /// Adds a settings file.
    #[cfg(test)]
    pub(crate) fn file(mut self, text: &str) -> Self {
        self.toml = Some(("doorward.toml".into(), text.to_owned()));
        self
    }
}
