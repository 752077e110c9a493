//! The result of one of the doctor's checks.

use serde::Serialize;

use crate::cli::failure::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// Everything is in order.
    Pass,
    /// The checked part works, but the operator should change something.
    Warn,
    /// The checked part does not work.
    Fail,
}

/// The result of one check.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub check: &'static str,
    pub level: Level,
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    pub(super) fn pass(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, level: Level::Pass, found: found.into(), advice: None }
    }

    pub(super) fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, level: Level::Warn, found: found.into(), advice: Some(advice.into()) }
    }

    pub(super) fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, level: Level::Fail, found: found.into(), advice: Some(advice.into()) }
    }
}

/// Joins the lines of a failure into one.
pub(super) fn in_one_line(failure: Failure) -> String {
    match failure {
        Failure::Wrong(lines) => lines.join("; "),
        Failure::ReaderGone => "no one reads the output".to_owned(),
    }
}
