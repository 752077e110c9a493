//! Failures of a command: lines on standard error and exit code 1.

use std::io::{self, Write};
use std::process::ExitCode;

use super::terminal::printable;
use crate::config::SettingsErrors;
use crate::database::{QueryError, describe};

/// Why a command failed.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// Something went wrong. Usually this is one line.
    Wrong(Vec<String>),
    /// The reader of the output is gone, as in `doorward user list | head`. This is not an error, and no one
    /// reads a message.
    ReaderGone,
}

impl Failure {
    /// Creates a failure with a one-line message.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self::Wrong(vec![message.into()])
    }

    /// Converts an error of standard output.
    #[must_use]
    pub fn printing(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::new(format!("cannot write to standard output: {error}")),
        }
    }

    /// Prints the lines on standard error. Returns exit code 1, or 0 if only the reader is gone.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        let Self::Wrong(lines) = self else { return ExitCode::SUCCESS };
        print_error(lines);
        ExitCode::FAILURE
    }
}

impl From<SettingsErrors> for Failure {
    fn from(errors: SettingsErrors) -> Self {
        Self::Wrong(errors.lines)
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::new(describe(&error))
    }
}

/// Prints each line on standard error after the program's name. Ignores errors, since they could not be
/// reported.
pub(crate) fn print_error(lines: &[String]) {
    let mut stderr = io::stderr().lock();
    for line in lines {
        let _ = writeln!(stderr, "doorward: {}", printable(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_pipe_is_a_separate_failure() {
        let gone = Failure::printing(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(gone, Failure::ReaderGone);
        let full = Failure::printing(&io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full, Failure::new("cannot write to standard output: no storage space"));
    }
}
