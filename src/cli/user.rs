//! `doorward user`: users, beside a running server or without one.

use clap::{Args, Subcommand, ValueEnum};

use super::confirmation::Confirmation;
use super::output::Format;
use super::password::PasswordArgs;

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
    /// What to do.
    #[command(subcommand)]
    pub action: UserAction,
}

/// What to do with users.
#[derive(Debug, Subcommand)]
pub enum UserAction {
    /// Make a user; the password is asked for, read from standard input, or made.
    Add(UserAddArgs),
    /// List users.
    List(UserListArgs),
    /// Show a user.
    Show(OneUserArgs),
    /// Let a user in no more; sessions end at once.
    Disable(OneUserArgs),
    /// Let a disabled user in again.
    Enable(OneUserArgs),
    /// Give a user another role.
    SetRole(UserSetRoleArgs),
    /// Give a user another password; every session ends.
    SetPassword(UserSetPasswordArgs),
    /// End every session of a user.
    Logout(OneUserArgs),
    /// Delete a user and everything of theirs.
    Delete(UserDeleteArgs),
}

/// Arguments of `doorward user add`.
#[derive(Args, Debug)]
pub struct UserAddArgs {
    /// The username.
    pub username: String,
    /// The e-mail address, with which one can sign in too.
    #[arg(long)]
    pub email: Option<String>,
    /// The role, such as viewer, member or admin.
    #[arg(long, default_value = "member")]
    pub role: String,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward user list`.
#[derive(Args, Debug)]
pub struct UserListArgs {
    /// Only those with this in their username or e-mail address.
    #[arg(long, short)]
    pub query: Option<String>,
    /// Only those of this role.
    #[arg(long)]
    pub role: Option<String>,
    /// Only those of this status.
    #[arg(long)]
    pub status: Option<UserStatus>,
    /// At most as many; all when not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// A user's status, as the command line has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UserStatus {
    /// Let in.
    Active,
    /// Let in no more.
    Disabled,
}

/// Arguments of the commands that take a user and nothing else.
#[derive(Args, Debug)]
pub struct OneUserArgs {
    /// The username, e-mail address or id.
    pub user: String,
    /// Text or JSON.
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
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward user set-password`.
#[derive(Args, Debug)]
pub struct UserSetPasswordArgs {
    /// The username, e-mail address or id.
    pub user: String,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordArgs,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward user delete`.
#[derive(Args, Debug)]
pub struct UserDeleteArgs {
    /// The username, e-mail address or id.
    pub user: String,
    /// The answer, given beforehand.
    #[command(flatten)]
    pub confirmation: Confirmation,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}
