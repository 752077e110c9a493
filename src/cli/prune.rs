//! `doorward prune`: delete what is past its time.

use clap::Args;

use super::Context;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::output::{Format, Output};
use crate::app::state;
use crate::database::prune::{Pruned, Retention, prune_batch};

/// Arguments of `doorward prune`.
#[derive(Args, Debug)]
pub struct PruneArgs {
    /// Text or JSON.
    #[command(flatten)]
    pub format: Format,
}

impl PruneArgs {
    /// Prunes batch by batch, and says what was deleted.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        let access = DatabaseAccess::find(&settings)?;
        let pruned = self.prune(&access, state::retention(&settings));
        access.stop();
        let pruned = pruned?;
        let line = format!(
            "{} sessions, {} personal tokens, {} revocations, {} links, {} audit events, {} refusals, {} counts of tries and \
             {} known addresses were deleted.",
            pruned.sessions,
            pruned.personal_tokens,
            pruned.revocations,
            pruned.password_links,
            pruned.audit_events,
            pruned.refusals,
            pruned.attempts,
            pruned.known_addresses
        );
        Output::stdout(self.format).result(&pruned, &line)
    }

    fn prune(&self, access: &DatabaseAccess, retention: Retention) -> Result<Pruned, Failure> {
        let mut connection = access.connect()?;
        let mut pruned = Pruned::default();
        loop {
            let batch = prune_batch(&mut connection, retention);
            let batch = batch.map_err(|error| Failure::new(error.to_string()))?;
            pruned.add(batch);
            if batch.total() == 0 {
                return Ok(pruned);
            }
            if !self.format.json {
                super::failure::complain(&[format!("{} rows so far", pruned.total())]);
            }
        }
    }
}
