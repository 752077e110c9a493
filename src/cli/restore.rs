//! `doorward restore`: a backup in place of the database.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::confirmation::Confirmation;

/// Arguments of `doorward restore`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  doorward restore doorward.dump --yes")]
pub struct RestoreArgs {
    /// The file that `doorward backup` made.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// The answer, given beforehand.
    #[command(flatten)]
    pub confirmation: Confirmation,
}
