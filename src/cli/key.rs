//! `doorward key`: the keys that sign access tokens.

use clap::{Args, Subcommand};

use super::confirmation::Confirmation;
use super::output::Format;

/// Arguments of `doorward key`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  doorward key list\n  doorward key revoke <kid> --yes")]
pub struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: KeyAction,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// List the signing keys.
    List(KeyListArgs),
    /// Make a new signing key; the old one verifies until its last token has expired.
    Rotate(KeyRotateArgs),
    /// Revoke a leaked signing key: whatever it signed is refused at once, on every node.
    Revoke(KeyRevokeArgs),
    /// Seal the keys anew under the first of `DOORWARD_SECRET_KEY`.
    Reseal(KeyResealArgs),
}

/// Arguments of `doorward key list`.
#[derive(Args, Debug)]
pub struct KeyListArgs {
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward key rotate`.
#[derive(Args, Debug)]
pub struct KeyRotateArgs {
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward key revoke`.
#[derive(Args, Debug)]
pub struct KeyRevokeArgs {
    /// The key's `kid`, as the list has it.
    pub kid: String,
    /// The answer, given beforehand.
    #[command(flatten)]
    pub confirmation: Confirmation,
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

/// Arguments of `doorward key reseal`.
#[derive(Args, Debug)]
pub struct KeyResealArgs {
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}
