//! `doorward token`: personal access tokens.

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::output::Format;

/// Arguments of `doorward token`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  doorward token list --user alice\n  doorward token revoke <id>")]
pub struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: TokenAction,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// List the tokens, never their secrets.
    List(TokenListArgs),
    /// Revoke a token: it is refused from the next request on.
    Revoke(TokenRevokeArgs),
}

/// Arguments of `doorward token list`.
#[derive(Args, Debug)]
pub struct TokenListArgs {
    /// Only this user's: the username, e-mail address or id.
    #[arg(long)]
    pub user: Option<String>,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward token revoke`.
#[derive(Args, Debug)]
pub struct TokenRevokeArgs {
    /// The token's id, as the list has it.
    pub id: Uuid,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}
