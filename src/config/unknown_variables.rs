//! Finds environment variables that begin with `DOORWARD_` but are not settings.

use std::ffi::OsStr;

use super::definitions::SETTINGS;
use super::inputs::{CONFIG_VARIABLE, Inputs, TEST_VARIABLE};
use super::nearest::nearest;

/// Returns a line for every such variable.
pub(super) fn unknown_variables(inputs: &Inputs) -> impl Iterator<Item = String> + '_ {
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

/// Returns whether Kubernetes sets this variable for every container beside a Service named doorward.
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
    fn variables_of_other_programs_and_tests_are_ignored() {
        let inputs = Inputs::default()
            .variable("PATH", "/bin")
            .variable("DOORWARDX", "1")
            .variable("DOORWARD_CONFIG", "x")
            .variable("DOORWARD_TEST_DATABASE_URL", "x");
        assert_eq!(errors(&inputs), [""; 0]);
        assert_eq!(errors(&inputs.variable("DOORWARD_TEST_OTHER", "x")).len(), 1);
    }

    #[test]
    fn kubernetes_service_variables_are_explained() {
        let lines = errors(&Inputs::default().variable("DOORWARD_PORT_8080_TCP", "tcp://10.0.0.1:8080"));
        assert!(lines[0].contains("turn off enableServiceLinks"), "{lines:?}");
        let link = errors(&Inputs::default().variable("DOORWARD_PORT", "tcp://10.0.0.1:8080"));
        assert!(link[0].contains("turn off enableServiceLinks"), "{link:?}");
        let own = errors(&Inputs::default().variable("DOORWARD_PORT", "8080"));
        assert!(!own[0].contains("enableServiceLinks"), "{own:?}");
    }
}
