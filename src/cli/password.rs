//! Passwords on the command line: typed unseen, read from standard input, or made; never arguments.

use std::io::{self, BufRead, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use super::failure::Failure;
use crate::config::{BYTE_ORDER_MARK, Secret, check_typed, stdin_is_terminal};
use crate::random;

/// More than any password, so that a wrong file on standard input does not fill the memory.
const LONGEST_LINE: u64 = 16 * 1024;

/// The fewest characters of a password made here: of 62 each, 142 bits.
const MADE_LENGTH: usize = 24;

/// Where a new password comes from.
#[derive(Args, Clone, Copy, Debug)]
pub struct PasswordArgs {
    /// Read the password from the first line of standard input, and do not ask at a terminal.
    #[arg(long, conflicts_with = "generate")]
    pub password_stdin: bool,
    /// Make a random password and print it once.
    #[arg(long)]
    pub generate: bool,
}

/// A new password.
#[derive(Debug)]
pub enum NewPassword {
    /// A person chose it.
    Given(Secret),
    /// It was made here, and has to be printed.
    Made(Secret),
}

impl PasswordArgs {
    /// Takes the password from where the arguments say; one made here has at least `min_length` characters.
    ///
    /// # Errors
    /// Where nothing or too much comes, or what is typed again differs.
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

/// Letters and digits, so that it survives every shell, and a double click marks it whole.
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
        return Err(Failure::new("standard input holds no password in its first line"));
    }
    check_typed(password).map_err(|why| Failure::new(format!("the password cannot be used: {why}")))?;
    Ok(Secret::new(password.to_owned()))
}

/// Asks at the terminal and reads what is typed, unseen.
fn ask(stdin: &mut io::StdinLock<'_>, question: &str) -> Result<Secret, Failure> {
    let hidden = Unseen::begin();
    let hidden =
        hidden.map_err(|error| Failure::new(format!("cannot turn off the terminal's echo: {error}")))?;
    let mut stderr = io::stderr();
    let _ = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
    let typed = read_line(stdin);
    drop(hidden);
    let _ = stderr.write_all(b"\n");
    typed
}

/// The terminal without echo, until it is dropped.
struct Unseen {
    before: Termios,
}

impl Unseen {
    fn begin() -> nix::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &quiet)?;
        Ok(Self { before })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // There is nobody to tell, and the terminal may be the thing that has gone.
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
    fn the_first_line_is_the_password_without_its_end() {
        assert_eq!(read("correct horse \r\nsecond\n"), Ok("correct horse ".to_owned()));
        assert_eq!(read("no newline"), Ok("no newline".to_owned()));
        assert_eq!(read("\u{feff}correct horse\r\n"), Ok("correct horse".to_owned()));
    }

    #[test]
    fn nothing_and_too_much_are_no_password() {
        for nothing in ["", "\n", "\r\n"] {
            assert_eq!(
                read(nothing),
                Err(Failure::new("standard input holds no password in its first line"))
            );
        }
        assert!(read(&"x".repeat(20_000)).is_err());
    }

    #[test]
    fn unseen_characters_are_refused() {
        for wrong in
            ["correct\u{1b}[D horse\n", "correct\thorse", "correct horse\r\r\n", "correct\u{200b} horse"]
        {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_made_password_is_long_enough_and_another_each_time() {
        let [one, other] = [make(12), make(12)];
        assert_ne!(one.expose(), other.expose());
        assert_eq!((one.expose().len(), make(64).expose().len()), (24, 64));
        assert!(one.expose().bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
