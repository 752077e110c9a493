//! Asks for confirmation before a command does something that cannot be undone.

use std::io::{self, BufRead, Read, Write};

use clap::Args;

use super::failure::Failure;
use crate::config::stdin_is_terminal;

/// The answer, given beforehand.
#[derive(Args, Clone, Copy, Debug)]
pub struct Confirmation {
    /// Do it without asking.
    #[arg(long)]
    pub yes: bool,
}

impl Confirmation {
    /// Asks at the terminal, after saying `what` will happen, unless `--yes` was given.
    ///
    /// # Errors
    /// The answer is not `yes`, or standard input is not a terminal.
    pub fn ask(self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !stdin_is_terminal() {
            return Err(Failure::new(format!("{what}: add --yes to confirm")));
        }
        let mut stderr = io::stderr();
        let question = format!("{}. Continue? Type yes: ", super::terminal::printable(what));
        let _ = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
        if is_yes(&mut io::stdin().lock()) { Ok(()) } else { Err(Failure::new("nothing was changed")) }
    }
}

fn is_yes(input: &mut impl BufRead) -> bool {
    let mut answer = String::new();
    input.take(16).read_line(&mut answer).is_ok() && answer.trim() == "yes"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_word_yes_confirms() {
        assert!(is_yes(&mut "yes\n".as_bytes()));
        for answer in ["", "\n", "y\n", "yesterday\n", "no\n"] {
            assert!(!is_yes(&mut answer.as_bytes()), "{answer}");
        }
    }

    #[test]
    fn yes_flag_skips_the_question() {
        assert_eq!(Confirmation { yes: true }.ask("deletes alice"), Ok(()));
    }
}
