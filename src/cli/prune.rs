//! `doorward prune`: delete what is past its time.

use clap::Args;

use super::output::Format;

/// Arguments of `doorward prune`.
#[derive(Args, Debug)]
pub struct PruneArgs {
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}
