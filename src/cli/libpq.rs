//! PostgreSQL's client programs: which database they are told, and what comes of running them.

use std::process::{Command, ExitStatus, Stdio};

use super::database::DatabaseAccess;
use super::failure::Failure;
use crate::config::DatabaseUrl;

/// Lines of a program's complaint that are handed on.
const LINES: usize = 10;

/// A program that is told no database.
///
/// # Errors
/// When PostgreSQL's programs are not to be found.
pub fn program(access: &DatabaseAccess, name: &str) -> Result<Command, Failure> {
    Ok(Command::new(access.binaries()?.program(name)))
}

/// A program that is told this database, and asks nobody for a password.
///
/// # Errors
/// When there is no such program, or the address has a secret that it could be told only where others read it.
pub fn client(access: &DatabaseAccess, name: &str) -> Result<Command, Failure> {
    let mut command = program(access, name)?;
    tell(&mut command, access.url())?;
    Ok(command)
}

/// Others can read a command line: the password goes by the environment. The rest goes as libpq itself reads it, since
/// a service would go before what stands in the environment.
fn tell(command: &mut Command, address: &str) -> Result<(), Failure> {
    let url = DatabaseUrl::read(address);
    let url = url.map_err(|why| Failure::new(format!("the database's address cannot be read: {why}")))?;
    if let Some(secret) = url.other_secret() {
        return Err(Failure::new(format!(
            "the database's address has {secret}, which PostgreSQL's programs could be told only where others read it: \
             leave it out for this command, with a DATABASE_URL that needs none"
        )));
    }
    command.arg("--no-password").arg(format!("--dbname={}", url.without_secrets()));
    if let Some(password) = url.password() {
        command.env("PGPASSWORD", password);
    }
    Ok(())
}

/// Runs a program to its end; gives what it printed, where `out` is a pipe.
///
/// # Errors
/// What it complained of.
pub fn run(mut command: Command, out: Stdio) -> Result<Vec<u8>, Failure> {
    let done = command.stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).output();
    let done = done.map_err(|error| not_started(&command, &error))?;
    judge(&command, done.status, &done.stderr)?;
    Ok(done.stdout)
}

/// A program that could not be run.
#[must_use]
pub fn not_started(command: &Command, error: &std::io::Error) -> Failure {
    let program = command.get_program().to_string_lossy();
    Failure::new(format!("{program}: {error}: PostgreSQL's client programs are needed (postgresql-client)"))
}

/// Whether a program did what it was asked to.
///
/// # Errors
/// What it complained of.
pub fn judge(command: &Command, status: ExitStatus, complaint: &[u8]) -> Result<(), Failure> {
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
        tell(&mut command, address)?;
        let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        let password = command.get_envs().find(|(name, _)| *name == "PGPASSWORD");
        let password = password.and_then(|(_, value)| value).map(text);
        Ok((command.get_args().map(text).collect(), password))
    }

    #[test]
    fn all_but_the_password_stands_on_the_command_line() {
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
    fn a_secret_that_no_variable_carries_is_refused() {
        let Err(Failure::Wrong(lines)) = told("postgres://db/x?sslkey=/k&sslpassword=hush") else { panic!() };
        assert!(lines[0].contains("has sslpassword") && !lines[0].contains("hush"), "{lines:?}");
    }
}
