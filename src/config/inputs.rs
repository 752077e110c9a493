//! What settings are made from, and the variables among it that are no settings.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::definitions::SETTINGS;
use super::nearest::nearest;

/// Names the settings file; no setting of the file itself.
pub const CONFIG_VARIABLE: &str = "DOORWARD_CONFIG";

/// Read by the tests alone.
const TEST_VARIABLE: &str = "DOORWARD_TEST_DATABASE_URL";

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

/// A line for every variable of ours that is no setting.
pub fn unknown_variables(inputs: &Inputs) -> impl Iterator<Item = String> + '_ {
    let known = || SETTINGS.iter().map(|setting| setting.environment).chain([CONFIG_VARIABLE]);
    let all = inputs.environment.iter().map(|(name, value)| (name.to_string_lossy(), value));
    let ours = all.filter(|(name, _)| name.starts_with("DOORWARD_") && name != TEST_VARIABLE);
    ours.filter(move |(name, _)| !known().any(|other| other == name)).map(move |(name, value)| {
        let hint = match nearest(&name, known()) {
            _ if is_service_link(&name, value) => {
                "; Kubernetes sets it for a Service named doorward: turn off enableServiceLinks".to_owned()
            }
            Some(other) => format!("; did you mean {other}?"),
            None => String::new(),
        };
        format!("{} (environment): there is no such setting{hint}", name.escape_debug())
    })
}

/// Whether Kubernetes gives this variable to every container beside a Service named doorward.
fn is_service_link(name: &str, value: &OsStr) -> bool {
    match name.strip_prefix("DOORWARD_").unwrap_or_default() {
        "PORT" => value.to_string_lossy().contains("://"),
        rest => ["PORT_", "SERVICE_HOST", "SERVICE_PORT"].iter().any(|start| rest.starts_with(start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(inputs: &Inputs) -> Vec<String> {
        unknown_variables(inputs).collect()
    }

    #[test]
    fn other_programs_variables_and_the_tests_one_are_passed_over() {
        let inputs = Inputs::default()
            .variable("PATH", "/bin")
            .variable("DOORWARDX", "1")
            .variable("DOORWARD_CONFIG", "x")
            .variable("DOORWARD_TEST_DATABASE_URL", "x");
        assert_eq!(errors(&inputs), [""; 0]);
        assert_eq!(errors(&inputs.variable("DOORWARD_TEST_OTHER", "x")).len(), 1);
    }

    #[test]
    fn variables_of_a_kubernetes_service_are_told_for_what_they_are() {
        let lines = errors(&Inputs::default().variable("DOORWARD_PORT_8080_TCP", "tcp://10.0.0.1:8080"));
        assert!(lines[0].contains("turn off enableServiceLinks"), "{lines:?}");
        let link = errors(&Inputs::default().variable("DOORWARD_PORT", "tcp://10.0.0.1:8080"));
        assert!(link[0].contains("turn off enableServiceLinks"), "{link:?}");
        let own = errors(&Inputs::default().variable("DOORWARD_PORT", "8080"));
        assert!(!own[0].contains("enableServiceLinks"), "{own:?}");
    }
}
