//! Runs PostgreSQL's client programs on the command's database.

use std::process::{Command, ExitStatus, Stdio};

use super::database::DatabaseAccess;
use super::failure::Failure;
use crate::config::DatabaseUrl;

/// The maximum number of lines of a program's error output that are printed.
const LINES: usize = 10;

/// Creates the command of a program that does not connect to a database.
///
/// # Errors
/// PostgreSQL's programs are not found.
pub(crate) fn program(access: &DatabaseAccess, name: &str) -> Result<Command, Failure> {
    Ok(Command::new(access.binaries()?.program(name)))
}

/// Creates the command of a program that connects to this database and never asks for a password.
///
/// # Errors
/// The program is not found, or the URL has a secret that could only be passed where others can read it.
pub(crate) fn client(access: &DatabaseAccess, name: &str) -> Result<Command, Failure> {
    let mut command = program(access, name)?;
    set_connection(&mut command, access.url())?;
    Ok(command)
}

/// Passes the database to the program. The password goes through the environment, because others can read a
/// command line. The rest goes as a URL that libpq reads itself, because a service takes precedence over the
/// environment.
fn set_connection(command: &mut Command, address: &str) -> Result<(), Failure> {
    let url = DatabaseUrl::read(address);
    let url = url.map_err(|why| Failure::new(format!("the database's address cannot be read: {why}")))?;
    if let Some(secret) = url.other_secret() {
        return Err(Failure::new(format!(
            "the database's address contains {secret}, which could be passed to PostgreSQL's programs only \
             where others can read it. For this command, use a DATABASE_URL without it"
        )));
    }
    command.arg("--no-password").arg(format!("--dbname={}", url.without_secrets()));
    if let Some(password) = url.password() {
        command.env("PGPASSWORD", password);
    }
    Ok(())
}

/// Runs a program to its end. Returns its output if `out` is a pipe.
///
/// # Errors
/// The program cannot be started or fails. The message has its error output.
pub(crate) fn run(mut command: Command, out: Stdio) -> Result<Vec<u8>, Failure> {
    let done = command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).output();
    let done = done.map_err(|error| not_started(&command, &error))?;
    judge(&command, done.status, &done.stderr)?;
    Ok(done.stdout)
}

/// Returns the failure for a program that could not be started.
#[must_use]
pub(crate) fn not_started(command: &Command, error: &std::io::Error) -> Failure {
    let program = command.get_program().to_string_lossy();
    Failure::new(format!("{program}: {error}. Install PostgreSQL's client programs (postgresql-client)"))
}

/// Checks whether a program succeeded.
///
/// # Errors
/// The program failed. The message has its error output.
pub(crate) fn judge(command: &Command, status: ExitStatus, complaint: &[u8]) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(complaint);
    let lines: Vec<String> = said.lines().take(LINES).map(str::to_owned).collect();
    let silent = || Failure::new(format!("{} failed", command.get_program().to_string_lossy()));
    Err(if lines.is_empty() { silent() } else { Failure::Wrong(lines) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(address: &str) -> Result<(Vec<String>, Option<String>), Failure> {
        let mut command = Command::new("psql");
        set_connection(&mut command, address)?;
        let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        let password = command.get_envs().find(|(name, _)| *name == "PGPASSWORD");
        let password = password.and_then(|(_, value)| value).map(text);
        Ok((command.get_args().map(text).collect(), password))
    }

    #[test]
    fn command_line_has_everything_but_the_password() {
        for (address, database, password) in [
            (
                "postgres://al:p%40?#+s@db:5433/auth?sslcrl=/c",
                "postgres://al@db:5433/auth?sslcrl=/c",
                Some("p@?#+s"),
            ),
            ("postgresql://u@%2Frun%2Fpg/x", "postgresql://u@%2Frun%2Fpg/x", None),
            ("postgresql://a:1,[::1]:2/x?options=a+b", "postgresql://a:1,[::1]:2/x?options=a+b", None),
            (
                "postgres:///?service=s&hostaddr=::1&password=p",
                "postgres:///?service=s&hostaddr=::1",
                Some("p"),
            ),
        ] {
            let arguments = vec!["--no-password".to_owned(), format!("--dbname={database}")];
            assert_eq!(told(address), Ok((arguments, password.map(str::to_owned))), "{address}");
        }
    }

    #[test]
    fn secret_without_a_libpq_variable_is_refused() {
        let Err(Failure::Wrong(lines)) = told("postgres://db/x?sslkey=/k&sslpassword=hush") else { panic!() };
        assert!(lines[0].contains("contains sslpassword") && !lines[0].contains("hush"), "{lines:?}");
    }
}
