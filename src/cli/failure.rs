//! How a command fails: lines on standard error and exit code 1.

use std::io::{self, Write};
use std::process::ExitCode;

use super::terminal::printable;
use crate::config::SettingsErrors;
use crate::database::{QueryError, describe};

/// Why a command did not do what it was asked to.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// Something is wrong: a line each, mostly one.
    Wrong(Vec<String>),
    /// Who read the output has gone (`doorward user list | head`): nothing is wrong, and nobody listens.
    ReaderGone,
}

impl Failure {
    /// A failure that one line tells.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self::Wrong(vec![message.into()])
    }

    /// The failure to print, from standard output's error.
    #[must_use]
    pub fn printing(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::new(format!("cannot write to standard output: {error}")),
        }
    }

    /// Prints the lines on standard error; exit code 1, or 0 where only the reader has gone.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        let Self::Wrong(lines) = self else { return ExitCode::SUCCESS };
        complain(lines);
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

/// Prints each line on standard error behind the program's name. Where that is closed nobody can be told.
pub fn complain(lines: &[String]) {
    let mut stderr = io::stderr().lock();
    for line in lines {
        let _ = writeln!(stderr, "doorward: {}", printable(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        let gone = Failure::printing(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(gone, Failure::ReaderGone);
        let full = Failure::printing(&io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full, Failure::new("cannot write to standard output: no storage space"));
    }
}
