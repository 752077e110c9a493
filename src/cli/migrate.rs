//! `doorward migrate`: bring the database to this version's schema.

use clap::Args;

use super::output::Format;

/// Arguments of `doorward migrate`.
#[derive(Args, Debug)]
pub struct MigrateArgs {
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}
