//! Passwords on the command line. They are typed without echo, read from standard input, or generated. They
//! are never arguments.

use std::io::{self, BufRead, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use super::failure::Failure;
use crate::config::{BYTE_ORDER_MARK, Secret, check_typed, stdin_is_terminal};
use crate::random;

/// The longest line that is read. It is longer than any password, and limits memory if standard input is a
/// wrong file.
const LONGEST_LINE: u64 = 16 * 1024;

/// The minimum length of a generated password. With 62 possible characters each, that is 142 bits.
const MADE_LENGTH: usize = 24;

/// The source of a new password.
#[derive(Args, Clone, Copy, Debug)]
pub struct PasswordArgs {
    /// Read the password from the first line of standard input instead of asking at the terminal.
    #[arg(long, conflicts_with = "generate")]
    pub password_stdin: bool,
    /// Generate a random password and print it once.
    #[arg(long)]
    pub generate: bool,
}

#[derive(Debug)]
pub enum NewPassword {
    /// A person chose the password.
    Given(Secret),
    /// The password was generated here and must be printed.
    Made(Secret),
}

impl PasswordArgs {
    /// Gets the password from the source that the arguments name. A generated one has at least `min_length`
    /// characters.
    ///
    /// # Errors
    /// There is no password, it is too long or has an invisible character, or the two entries differ.
    pub fn obtain(self, min_length: u32) -> Result<NewPassword, Failure> {
        if self.generate {
            return Ok(NewPassword::Made(make(min_length as usize)));
        }
        let mut stdin = io::stdin().lock();
        if self.password_stdin || !stdin_is_terminal() {
            return read_line(&mut stdin).map(NewPassword::Given);
        }
        let first = ask(&mut stdin, "Password: ")?;
        let again = ask(&mut stdin, "Again: ")?;
        if first == again {
            Ok(NewPassword::Given(first))
        } else {
            Err(Failure::new("the two passwords differ"))
        }
    }
}

/// Generates a password of letters and digits. These need no quoting in a shell, and a double click selects
/// them all.
fn make(min_length: usize) -> Secret {
    let mut password = String::new();
    while password.len() < min_length.max(MADE_LENGTH) {
        let letters = STANDARD.encode(random::bytes::<48>());
        let missing = min_length.max(MADE_LENGTH) - password.len();
        password.extend(letters.chars().filter(char::is_ascii_alphanumeric).take(missing));
    }
    Secret::new(password)
}

fn read_line(input: &mut impl BufRead) -> Result<Secret, Failure> {
    let unreadable = |error: io::Error| Failure::new(format!("cannot read the password: {error}"));
    let mut line = String::new();
    input.take(LONGEST_LINE).read_line(&mut line).map_err(unreadable)?;
    if line.len() as u64 == LONGEST_LINE {
        return Err(Failure::new("the first line of standard input is too long for a password"));
    }
    let password = line.trim_start_matches(BYTE_ORDER_MARK);
    let password = password.strip_suffix('\n').unwrap_or(password);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(Failure::new("the first line of standard input has no password"));
    }
    check_typed(password).map_err(|why| Failure::new(format!("the password cannot be used: {why}")))?;
    Ok(Secret::new(password.to_owned()))
}

/// Asks at the terminal and reads the answer without echo.
fn ask(stdin: &mut io::StdinLock<'_>, question: &str) -> Result<Secret, Failure> {
    let hidden = HiddenInput::begin();
    let hidden =
        hidden.map_err(|error| Failure::new(format!("cannot turn off the terminal's echo: {error}")))?;
    let mut stderr = io::stderr();
    let _ = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
    let typed = read_line(stdin);
    drop(hidden);
    let _ = stderr.write_all(b"\n");
    typed
}

/// Turns the terminal's echo off until it is dropped.
struct HiddenInput {
    before: Termios,
}

impl HiddenInput {
    fn begin() -> nix::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &quiet)?;
        Ok(Self { before })
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        // An error could not be reported, since the terminal itself may be gone.
        let _ = tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, Failure> {
        read_line(&mut text.as_bytes()).map(|password| password.expose().to_owned())
    }

    #[test]
    fn first_line_without_its_end_is_the_password() {
        assert_eq!(read("correct horse \r\nsecond\n"), Ok("correct horse ".to_owned()));
        assert_eq!(read("no newline"), Ok("no newline".to_owned()));
        assert_eq!(read("\u{feff}correct horse\r\n"), Ok("correct horse".to_owned()));
    }

    #[test]
    fn empty_and_oversized_input_is_refused() {
        for nothing in ["", "\n", "\r\n"] {
            assert_eq!(read(nothing), Err(Failure::new("the first line of standard input has no password")));
        }
        assert!(read(&"x".repeat(20_000)).is_err());
    }

    #[test]
    fn invisible_characters_are_refused() {
        for wrong in
            ["correct\u{1b}[D horse\n", "correct\thorse", "correct horse\r\r\n", "correct\u{200b} horse"]
        {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn generated_password_is_long_and_different_each_time() {
        let [one, other] = [make(12), make(12)];
        assert_ne!(one.expose(), other.expose());
        assert_eq!((one.expose().len(), make(64).expose().len()), (24, 64));
        assert!(one.expose().bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
