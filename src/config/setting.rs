//! Definitions and sources of settings, without the typed values.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::addresses::PublicUrl;

/// A setting's definition, for flags, lists and the documentation.
#[derive(Debug)]
pub struct Setting {
    /// The key in `doorward.toml`, which is also the field's name in `Settings`.
    pub key: &'static str,
    /// The environment variable, which messages use as the name.
    pub environment: &'static str,
    /// The flag without its two hyphens.
    pub flag: String,
    /// A description in one or two sentences.
    pub help: String,
    /// The value if the setting is not given.
    pub default: DefaultValue,
    /// A description of the allowed values.
    pub allowed: String,
    /// True if a wrong value must not be repeated, because it may contain a password.
    pub secret: bool,
}

/// The value of a setting that is not given.
#[derive(Debug, Clone, Copy)]
pub enum DefaultValue {
    /// No value. The text says what this means.
    Nothing(&'static str),
    /// A fixed value.
    Text(&'static str),
    /// A value that depends on where the program runs. The text describes it.
    Computed(&'static str, fn(&DefaultsContext) -> String),
}

/// The facts that computed defaults depend on.
#[derive(Debug, Clone)]
pub struct DefaultsContext {
    pub is_root: bool,
    /// The number of processors that the process may use, or 0 if unknown.
    pub processors: usize,
    /// The value of `DOORWARD_LISTEN`, unless it is wrong.
    pub listen: Option<SocketAddr>,
}

impl DefaultsContext {
    /// Returns `./data`, or root's own folder.
    pub(super) fn data_dir(&self) -> String {
        if self.is_root { "/var/lib/doorward" } else { "./data" }.to_owned()
    }

    /// Returns `http://` with the listener's address. Any URL will do if that address is wrong, because the
    /// server then does not start.
    pub(super) fn public_url(&self) -> String {
        self.listen.map_or_else(|| "http://localhost".to_owned(), |it| PublicUrl::of_listener(it).to_string())
    }

    /// Returns twice the number of processors, within the bounds of the setting.
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

/// The source of the value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The command line, with the flag's name without hyphens.
    Flag(String),
    Environment,
    /// The settings file, with the line, counted from 1.
    File(PathBuf, usize),
    /// The default, since no source has the setting.
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

/// A setting in force.
#[derive(Debug, Clone)]
pub struct Entry {
    pub setting: &'static Setting,
    /// The value, with passwords masked. `None` if the setting has no value.
    pub value: Option<String>,
    pub source: Source,
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.as_deref().unwrap_or("none");
        write!(formatter, "{} = {value} ({})", self.setting.environment, self.source)
    }
}
