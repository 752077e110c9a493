//! `doorward completions`: prints a completion script for a shell.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use super::failure::Failure;
use super::output::{Format, Output};

/// Arguments of `doorward completions`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  doorward completions bash > /etc/bash_completion.d/doorward")]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

impl CompletionsArgs {
    pub fn run(&self, mut command: Command) -> Result<(), Failure> {
        Output::stdout(Format::default()).verbatim(&self.script(&mut command))
    }

    /// Returns the script. The generator panics if it cannot write, so it writes to memory.
    fn script(&self, command: &mut Command) -> String {
        let mut script = Vec::new();
        generate(self.shell, command, "doorward", &mut script);
        String::from_utf8_lossy(&script).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_completion_script_knows_commands_and_settings() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let script = CompletionsArgs { shell }.script(&mut Cli::command());
            assert!(script.contains("set-password") && script.contains("access-token-ttl"), "{shell}");
        }
    }
}
