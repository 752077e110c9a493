//! `doorward prune`: deletes expired rows.

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::database::DatabaseAccess;
use super::failure::Failure;
use super::output::{Format, Output};
use super::progress::Progress;
use crate::app;
use crate::database::prune::{self, Pruned, Retention, prune_batch};
use crate::database::{Connection, QueryError, without_timeout};

/// Arguments of `doorward prune`.
#[derive(Args, Debug)]
pub struct PruneArgs {
    /// Count the rows that would be deleted, and delete nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Serialize)]
struct PruneReport {
    #[serde(flatten)]
    pruned: Pruned,
    dry_run: bool,
    /// True if another process was pruning, so that this one stopped.
    elsewhere: bool,
}

impl PruneArgs {
    /// Prunes in batches and prints the number of deleted rows.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let settings = context.settings()?;
        let retention = app::settings::retention(&settings);
        let done = DatabaseAccess::use_for(&settings, |connection| Ok(self.act(connection, retention)?))?;
        Output::stdout(self.format).result(&done, &done.in_words())
    }

    fn act(&self, connection: &mut Connection, retention: Retention) -> Result<PruneReport, QueryError> {
        without_timeout(connection)?;
        if self.dry_run {
            let pruned = prune::count(connection, retention)?;
            return Ok(PruneReport { pruned, dry_run: true, elsewhere: false });
        }
        let expected = if self.format.json { 0 } else { prune::count(connection, retention)?.total() };
        let mut progress = Progress::of(expected, self.format.json);
        let mut pruned = Pruned::default();
        loop {
            match prune_batch(connection, retention)? {
                None => return Ok(PruneReport { pruned, dry_run: false, elsewhere: true }),
                Some(batch) if batch.total() == 0 => {
                    return Ok(PruneReport { pruned, dry_run: false, elsewhere: false });
                }
                Some(batch) => pruned.add(batch),
            }
            progress.step(pruned.total());
        }
    }
}

impl PruneReport {
    fn in_words(&self) -> String {
        let rows = self.pruned.by_kind().map(|(kind, rows)| format!("{rows} {}", named(kind)));
        let (last, others) =
            rows.split_last().map_or(("", &[][..]), |(last, others)| (last.as_str(), others));
        let verb = if self.dry_run { "would be deleted" } else { "were deleted" };
        let rest = if self.elsewhere { " Another process is pruning and deletes the rest." } else { "" };
        format!("{} and {last} {verb}.{rest}", others.join(", "))
    }
}

fn named(kind: &'static str) -> String {
    match kind {
        "password_links" => "one-time links".to_owned(),
        "attempts" => "attempt counters".to_owned(),
        kind => kind.replace('_', " "),
    }
}
