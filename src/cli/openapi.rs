//! `doorward openapi`: prints the OpenAPI document.

use clap::Args;

use super::context::Context;
use super::failure::Failure;
use super::output::{Format, Output};
use crate::app;
use crate::app::openapi::document;

/// Arguments of `doorward openapi`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  doorward openapi > openapi.json")]
pub struct OpenapiArgs {}

impl OpenapiArgs {
    /// Prints the OpenAPI document of a server with these settings.
    ///
    /// # Errors
    /// All errors in the settings, or standard output cannot be written.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        Output::stdout(Format::default())
            .json(&document(settings.public_url.as_str(), &app::routes(settings.simplejwt_routes)))
    }
}
