//! `doorward openapi`: the description of the API.

use clap::Args;

/// Arguments of `doorward openapi`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  doorward openapi > openapi.json")]
pub struct OpenapiArgs {}
