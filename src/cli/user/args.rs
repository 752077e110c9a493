//! The arguments of `doorward user`.

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::confirmation::Confirmation;
use crate::cli::output::Format;
use crate::cli::password::PasswordArgs;
use crate::users::role;

const EXAMPLES: &str = "\
Examples:
  doorward user add alice --email alice@example.org --role member
  doorward user add robot --generate --json
  pass show alice | doorward user set-password alice --password-stdin
  doorward user list --status disabled";

/// Arguments of `doorward user`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct UserArgs {
    /// The action.
    #[command(subcommand)]
    pub action: UserAction,
}

/// An action on users.
#[derive(Debug, Subcommand)]
pub enum UserAction {
    /// Create a user. The password is asked for, read from standard input, or generated.
    Add(UserAddArgs),
    /// List users.
    List(UserListArgs),
    /// Show a user.
    Show(OneUserArgs),
    /// Disable a user, from the next request on. Enabling restores the remaining sessions and tokens.
    Disable(UserDisableArgs),
    /// Enable a disabled user again, with the sessions and tokens that have not ended or expired.
    Enable(OneUserArgs),
    /// Clear a user's failed attempts, so that the next sign-in does not have to wait.
    Unlock(OneUserArgs),
    /// Change a user's role.
    SetRole(UserSetRoleArgs),
    /// Change a user's password. Every session ends, and every personal token is revoked.
    SetPassword(UserSetPasswordArgs),
    /// End every session of a user.
    Logout(OneUserArgs),
    /// Delete a user with all notes, sessions and tokens.
    Delete(UserDeleteArgs),
}

/// Arguments of `doorward user add`.
#[derive(Args, Debug)]
pub struct UserAddArgs {
    /// The username.
    pub username: String,
    /// The e-mail address. The user can also sign in with it.
    #[arg(long)]
    pub email: Option<String>,
    /// The role, such as viewer, member or admin.
    #[arg(long, default_value = role::DEFAULT)]
    pub role: String,
    #[command(flatten)]
    pub password: PasswordArgs,
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward user list`.
#[derive(Args, Debug)]
pub struct UserListArgs {
    /// List only users whose username or e-mail address contains this text.
    #[arg(long, short)]
    pub query: Option<String>,
    /// List only users with this role.
    #[arg(long)]
    pub role: Option<String>,
    /// List only users with this status.
    #[arg(long)]
    pub status: Option<StatusArg>,
    /// The maximum number of users to list. Without it, all are listed.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    #[command(flatten)]
    pub format: Format,
}

/// A user's status, as the command line has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusArg {
    /// Can sign in.
    Active,
    /// Cannot sign in.
    Disabled,
}

/// Arguments of the commands that take a user and nothing else.
#[derive(Args, Debug)]
pub struct OneUserArgs {
    /// The username, e-mail address or id.
    pub user: String,
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward user disable`.
#[derive(Args, Debug)]
pub struct UserDisableArgs {
    /// The username, e-mail address or id.
    pub user: String,
    /// End every session too, so that enabling the user does not restore it.
    #[arg(long)]
    pub end_sessions: bool,
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward user set-role`.
#[derive(Args, Debug)]
pub struct UserSetRoleArgs {
    /// The username, e-mail address or id.
    pub user: String,
    /// The role, such as viewer, member or admin.
    pub role: String,
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward user set-password`.
#[derive(Args, Debug)]
pub struct UserSetPasswordArgs {
    /// The username, e-mail address or id.
    pub user: String,
    #[command(flatten)]
    pub password: PasswordArgs,
    /// Do not revoke the user's personal tokens.
    #[arg(long)]
    pub keep_tokens: bool,
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward user delete`.
#[derive(Args, Debug)]
pub struct UserDeleteArgs {
    /// The username, e-mail address or id.
    pub user: String,
    #[command(flatten)]
    pub confirmation: Confirmation,
    #[command(flatten)]
    pub format: Format,
}
