//! `doorward serve`: migrate, then serve.

use clap::Args;

/// Arguments of `doorward serve`; all else about it is settings.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  doorward serve\n  DATABASE_URL=postgres:///auth doorward serve --log debug"
)]
pub struct ServeArgs {}
