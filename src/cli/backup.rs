//! `doorward backup`: the database in a file.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Arguments of `doorward backup`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  doorward backup doorward.dump")]
pub struct BackupArgs {
    /// The file to make; one that is there already is not overwritten.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
}
