//! What is known of a setting beside its typed value.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::addresses::PublicUrl;

/// A setting's definition, as flags, listings and the documentation draw on it.
#[derive(Debug)]
pub struct Setting {
    /// Its key in `doorward.toml`, which is also the name of its field in `Settings`.
    pub key: &'static str,
    /// Its environment variable, the name that messages use.
    pub environment: &'static str,
    /// Its flag, without the two hyphens.
    pub flag: String,
    /// What it does, in a sentence or two.
    pub help: String,
    /// What holds where it is not given.
    pub default: DefaultValue,
    /// What values it takes, in words.
    pub allowed: String,
    /// Whether a wrong value must not be repeated, since it may hold a password.
    pub secret: bool,
}

/// What holds where a setting is not given.
#[derive(Debug, Clone, Copy)]
pub enum DefaultValue {
    /// No value; the text says what that means.
    Nothing(&'static str),
    /// This value.
    Text(&'static str),
    /// A value that depends on where the program runs; the text says how.
    Computed(&'static str, fn(&Place) -> String),
}

/// What computed defaults depend on.
#[derive(Debug, Clone)]
pub struct Place {
    /// Whether the process is root's.
    pub is_root: bool,
    /// Processors that the process may use; 0 where unknown.
    pub processors: usize,
    /// The address in force for `DOORWARD_LISTEN`, unless that is wrong.
    pub listen: Option<SocketAddr>,
}

impl Place {
    /// `./data`, or root's own folder.
    pub(super) fn data_dir(&self) -> String {
        if self.is_root { "/var/lib/doorward" } else { "./data" }.to_owned()
    }

    /// `http://` and the listener's address; beside a wrong one any will do, since that stops the start.
    pub(super) fn public_url(&self) -> String {
        self.listen.map_or_else(|| "http://localhost".to_owned(), |it| PublicUrl::of_listener(it).to_string())
    }

    /// Twice the processors, within what the setting allows.
    pub(super) fn database_connections(&self) -> String {
        self.processors.saturating_mul(2).clamp(8, 1000).to_string()
    }
}

impl fmt::Display for DefaultValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing("") => formatter.write_str("none"),
            Self::Nothing(meaning) => write!(formatter, "none: {meaning}"),
            Self::Text(text) => write!(formatter, "`{text}`"),
            Self::Computed(shown, _) => formatter.write_str(shown),
        }
    }
}

/// Where the value in force came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The command line: the flag, without hyphens.
    Flag(String),
    /// The environment.
    Environment,
    /// The settings file, and the line in it, counted from 1.
    File(PathBuf, usize),
    /// Nowhere: the default.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(formatter, "flag --{flag}"),
            Self::Environment => formatter.write_str("environment"),
            Self::File(path, line) => write!(formatter, "{}:{line}", path.display()),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// A setting as it is in force.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which one.
    pub setting: &'static Setting,
    /// Its value in one form, passwords masked; none where it has no value.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: Source,
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_deref().unwrap_or("none");
        write!(formatter, "{} = {value} ({})", self.setting.environment, self.source)
    }
}
