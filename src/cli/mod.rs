//! The command line: the parser, one file per command, and what the commands share.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::SettingFlags;

pub(crate) mod backup;
pub(crate) mod backup_proof;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod confirmation;
pub(crate) mod context;
pub(crate) mod database;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod failure;
pub(crate) mod key;
pub(crate) mod libpq;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod output;
pub(crate) mod password;
pub(crate) mod private_postgres_child;
pub(crate) mod progress;
pub(crate) mod prune;
pub(crate) mod reminder;
pub(crate) mod restore;
pub(crate) mod restored;
pub(crate) mod serve;
pub(crate) mod signals;
pub(crate) mod telemetry;
pub(crate) mod terminal;
pub(crate) mod token;
pub(crate) mod user;

use context::Context;
use failure::Failure;

const VERSION: &str = if cfg!(feature = "tls") {
    concat!(env!("CARGO_PKG_VERSION"), " (libpq with TLS)")
} else {
    concat!(env!("CARGO_PKG_VERSION"), " (libpq without TLS)")
};

const EXAMPLES: &str = "\
Examples:
  doorward                                    serve on 127.0.0.1:8080 with a private PostgreSQL
  doorward --listen 0.0.0.0:8080 --public-url https://id.example.org
  doorward user add alice --role member       create a user; asks for the password
  doorward config                             print the settings in force, and where each came from

Every setting is a flag, an environment variable and a key of doorward.toml, in this order:
  --access-token-ttl 5m    DOORWARD_ACCESS_TOKEN_TTL=5m    access_token_ttl = \"5m\"
`doorward --help` lists all settings.";

/// An authentication and token service that tells you why it said no.
#[derive(Debug, Parser)]
#[command(name = "doorward", version = VERSION, after_help = EXAMPLES, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub flags: SettingFlags,
    /// The command. Without one, doorward serves.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Migrate the database, then serve. This is the default command.
    Serve(serve::ServeArgs),
    /// Migrate the database to this version's schema.
    Migrate(migrate::MigrateArgs),
    /// Create, show and change users.
    User(user::UserArgs),
    /// List and revoke personal access tokens.
    Token(token::TokenArgs),
    /// List and change the keys that sign access tokens.
    Key(key::KeyArgs),
    /// Explain why a token or a request was refused, check by check.
    Explain(explain::ExplainArgs),
    /// Check the installation, and say how to fix what is wrong.
    Doctor(doctor::DoctorArgs),
    /// Delete old records. A running server does this automatically.
    Prune(prune::PruneArgs),
    /// Write the database to a file.
    Backup(backup::BackupArgs),
    /// Replace the database with a backup, and end its sessions, tokens and keys.
    Restore(restore::RestoreArgs),
    /// End sessions, tokens and keys that may be active again after the database was reset to an earlier
    /// state.
    Restored(restored::RestoredArgs),
    /// Print the settings in force and where each came from, secrets masked.
    Config(config::ConfigArgs),
    /// Print the OpenAPI document.
    Openapi(openapi::OpenapiArgs),
    /// Print a script that completes commands and flags in a shell.
    Completions(completions::CompletionsArgs),
    /// The process between the server and its PostgreSQL.
    #[command(hide = true, disable_help_flag = true)]
    PrivatePostgresChild(private_postgres_child::PrivatePostgresChildArgs),
}

/// Parses the command line and runs the command. Wrong usage ends the process with exit code 2.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let context = Context::new(cli.flags);
    let command = cli.command.unwrap_or(Command::Serve(serve::ServeArgs {}));
    match dispatch(&command, &context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(command: &Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => args.run(context),
        Command::Migrate(args) => args.run(context),
        Command::User(args) => args.run(context),
        Command::Token(args) => args.run(context),
        Command::Key(args) => args.run(context),
        Command::Explain(args) => args.run(context),
        Command::Doctor(args) => args.run(context),
        Command::Prune(args) => args.run(context),
        Command::Backup(args) => args.run(context),
        Command::Restore(args) => args.run(context),
        Command::Restored(args) => args.run(context),
        Command::Config(args) => args.run(context),
        Command::Openapi(args) => args.run(context),
        Command::Completions(args) => args.run(Cli::command()),
        Command::PrivatePostgresChild(args) => args.run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;
    use crate::config::SETTINGS;

    fn parse(arguments: &[&str]) -> Cli {
        let words = ["doorward"].iter().chain(arguments);
        Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    fn refused(arguments: &[&str]) -> ErrorKind {
        let words = ["doorward"].iter().chain(arguments);
        Cli::try_parse_from(words).expect_err("this is wrong usage").kind()
    }

    #[test]
    fn command_definitions_are_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_setting_is_a_flag_before_and_after_the_command() {
        for setting in SETTINGS.iter() {
            let flag = format!("--{}", setting.flag);
            let expected = [(setting.key, "some value".into())];
            assert_eq!(parse(&[&flag, "some value"]).flags.values, expected);
            assert_eq!(parse(&[&flag, "some value", "user", "list"]).flags.values, expected);
            assert_eq!(parse(&["user", "list", &flag, "some value"]).flags.values, expected);
            assert_eq!(parse(&["config", &format!("{flag}=some value")]).flags.values, expected);
        }
    }

    #[test]
    fn config_flag_works_beside_the_config_command() {
        let cli = parse(&["config", "--config", "my.toml"]);
        assert_eq!(cli.flags.config.as_deref(), Some(std::path::Path::new("my.toml")));
        assert!(matches!(cli.command, Some(Command::Config(_))));
    }

    #[test]
    fn missing_command_is_none_and_unknown_ones_are_usage_errors() {
        assert!(parse(&[]).command.is_none());
        assert_eq!(refused(&["sevre"]), ErrorKind::InvalidSubcommand);
        assert_eq!(refused(&["--lisetn", "x"]), ErrorKind::UnknownArgument);
        assert_eq!(refused(&["user"]), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
        assert_eq!(refused(&["user", "add"]), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused(&["token", "revoke"]), ErrorKind::MissingRequiredArgument);
        let both = ["token", "revoke", "0192d7a0-0000-7000-8000-000000000000", "--all-of", "alice"];
        assert_eq!(refused(&both), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn every_documented_command_is_parsed() {
        for line in [
            "serve",
            "migrate",
            "user add alice --email a@example.org --role admin --generate --json",
            "user add alice --password-stdin",
            "user list --query al --role admin --status disabled --limit 5 --json",
            "user show alice --json",
            "user disable alice",
            "user disable alice --end-sessions",
            "user enable alice",
            "user set-role alice viewer",
            "user set-password alice --generate",
            "user set-password alice --generate --keep-tokens",
            "user logout alice",
            "user delete alice --yes",
            "token list --user alice --json",
            "token revoke 0192d7a0-0000-7000-8000-000000000000",
            "token revoke --all-of alice --json",
            "key list --json",
            "key rotate",
            "key revoke some-kid --yes",
            "key reseal",
            "explain 0192d7a0-0000-7000-8000-000000000000 --json",
            "explain - --method GET --path /api/v1/me",
            "explain",
            "doctor --json",
            "prune --json",
            "prune --dry-run",
            "backup out.dump",
            "backup -",
            "restore out.dump --yes",
            "restore - --yes --unauthenticated",
            "restored --since 2026-11-25T20:14:03Z --keep-personal-tokens --dry-run --json",
            "config --json",
            "config --markdown",
            "openapi",
            "completions zsh",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert!(parse(&words).command.is_some(), "{line}");
        }
    }

    #[test]
    fn kid_may_start_like_a_flag() {
        for kid in ["-JRFCcwibv0k", "--JRFCcwibv0k", "-hRFCcwibv0k"] {
            let Some(Command::Key(key::KeyArgs { action: key::KeyAction::Revoke(revoke) })) =
                parse(&["key", "revoke", kid, "--yes"]).command
            else {
                panic!("another command");
            };
            assert_eq!(revoke.kid, kid);
        }
    }

    #[test]
    fn passwords_are_never_arguments() {
        assert_eq!(refused(&["user", "add", "alice", "--password", "x"]), ErrorKind::UnknownArgument);
        assert_eq!(refused(&["user", "set-password", "alice", "x"]), ErrorKind::UnknownArgument);
        let both = refused(&["user", "add", "alice", "--generate", "--password-stdin"]);
        assert_eq!(both, ErrorKind::ArgumentConflict);
    }

    #[test]
    fn hidden_child_command_takes_any_arguments_and_is_not_in_help() {
        let Some(Command::PrivatePostgresChild(child)) =
            parse(&["private-postgres-child", "-D", "/x", "--help", "-c", "a=b", "--listen"]).command
        else {
            panic!("another command");
        };
        assert_eq!(child.arguments, ["-D", "/x", "--help", "-c", "a=b", "--listen"]);
        assert!(!Cli::command().render_long_help().to_string().contains("private-postgres-child"));
    }

    #[test]
    fn long_help_lists_every_setting_and_short_help_stays_short() {
        let long = Cli::command().render_long_help().to_string();
        assert!(SETTINGS.iter().all(|setting| long.contains(&format!("--{}", setting.flag))));
        let short = Cli::command().render_help().to_string();
        assert!(short.contains("doorward user add alice") && !short.contains("--bcrypt-cost"), "{short}");
    }
}
