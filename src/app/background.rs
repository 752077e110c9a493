//! Runs the background tasks of a server: writes last uses and refusals, reloads keys, prunes, measures
//! pools, updates notes and names of earlier versions, and creates missing indexes.

use std::time::Duration;

use actix_web::web;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::indexes;
use super::node::{NodeWatch, REPORT_EVERY};
use crate::audit::refusals;
use crate::database::feed::FeedState;
use crate::database::nodes::Node;
use crate::database::prune::{self, Pruned, Retention};
use crate::operations::signing_keys::ReloadSigningKeys;
use crate::resources::notes::refold;
use crate::sessions::last_use::FLUSH_EVERY;
use crate::state::State;
use crate::users::canonical_names::{self, Report};

/// The interval between reloads of the keys. It is far shorter than the time that a key is published before
/// it signs.
const KEYS_EVERY: Duration = Duration::from_secs(5);
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// The interval between searches for notes without search text.
const REFOLD_EVERY: Duration = Duration::from_secs(5);
/// The interval between searches for account names that a node of an earlier version wrote.
const NAMES_EVERY: Duration = Duration::from_secs(600);
/// The pause between two batches of notes.
const REFOLD_PAUSE: Duration = Duration::from_millis(10);
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// The running tasks.
pub struct Tasks(Vec<JoinHandle<()>>);

impl Tasks {
    pub fn stop(self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Starts all tasks on the runtime of this thread. `url` is that of the database.
#[must_use]
pub fn start(services: &web::Data<State>, node: Option<&Node>, retention: Retention, url: &str) -> Tasks {
    let (flushing, keeping, reloading, pruning, measuring) =
        (services.clone(), services.clone(), services.clone(), services.clone(), services.clone());
    let (refolding, naming) = (services.clone(), services.clone());
    let reporting = node.map(|node| actix_web::rt::spawn(report(services.clone(), node.clone())));
    let mut tasks = vec![
        actix_web::rt::spawn(indexes::run(url.to_owned())),
        actix_web::rt::spawn(async move {
            every(FLUSH_EVERY, || async {
                if let Err(error) = flushing.recorder.last_use.flush(&flushing.core.database).await {
                    tracing::debug!(%error, "last uses could not be saved yet; retrying later");
                }
                if let Err(error) = flushing.recorder.refusal_counts.flush(&flushing.core.database).await {
                    tracing::debug!(%error, "the counts of refusals could not be saved yet; retrying later");
                }
            })
            .await;
        }),
        actix_web::rt::spawn(async move {
            every(refusals::FLUSH_EVERY, || async {
                if let Err(error) = keeping.recorder.kept_refusals.flush(&keeping.core.database).await {
                    tracing::debug!(%error, "refusals could not be saved yet; retrying later");
                }
            })
            .await;
        }),
        actix_web::rt::spawn(async move {
            every(KEYS_EVERY, || async {
                if let Err(error) = ReloadSigningKeys.run(&reloading).await {
                    tracing::warn!(%error, "the signing keys could not be read; the loaded keys stay in use");
                }
            })
            .await;
        }),
        actix_web::rt::spawn(async move {
            every(PRUNE_EVERY, || async {
                prune(&pruning, retention).await;
            })
            .await;
        }),
        actix_web::rt::spawn(async move {
            every(REFOLD_EVERY, || async { refold_notes(&refolding).await }).await;
        }),
        actix_web::rt::spawn(async move {
            every(NAMES_EVERY, || async { canonicalize_names(&naming).await }).await;
        }),
        actix_web::rt::spawn(async move {
            every(MEASURE_EVERY, || async { measure(&measuring) }).await;
        }),
    ];
    tasks.extend(reporting);
    Tasks(tasks)
}

async fn report(services: web::Data<State>, node: Node) {
    let mut watch = NodeWatch::default();
    loop {
        if let Err(error) = watch.report(&services.core.database, &node).await {
            tracing::debug!(%error, "this node could not be reported to the others");
        }
        tokio::time::sleep(REPORT_EVERY).await;
    }
}

async fn every<F: Future<Output = ()>>(pause: Duration, mut work: impl FnMut() -> F) {
    loop {
        tokio::time::sleep(pause).await;
        work().await;
    }
}

/// Deletes rows that are past their retention, unless another node is doing so.
pub async fn prune(services: &State, retention: Retention) {
    let each = |batch: Pruned| {
        for (kind, rows) in batch.by_kind() {
            metrics::counter!("doorward_pruned_rows_total", "kind" => kind).increment(rows as u64);
        }
    };
    match prune::run(&services.core.database, retention, each).await {
        Ok(Some(pruned)) => {
            metrics::gauge!("doorward_pruned_at_seconds").set(services.core.clock.now().timestamp() as f64);
            if pruned.total() > 0 {
                tracing::info!(rows = pruned.total(), "pruned");
            }
        }
        Ok(None) => tracing::debug!("another node is pruning"),
        Err(error) => tracing::warn!(%error, "pruning is postponed"),
    }
}

/// Converts names that an earlier version wrote to the canonical form, batch by batch.
async fn canonicalize_names(services: &State) {
    let mut after = Uuid::nil();
    loop {
        let batch = services
            .core
            .database
            .run(move |connection| canonical_names::run_batch_by_index(connection, after));
        match batch.await {
            Ok(report) => {
                log_names(&report);
                let Some(last) = report.last else { return };
                after = last;
            }
            Err(error) => {
                tracing::warn!(%error, "names from earlier versions could not be checked; retrying later");
                return;
            }
        }
    }
}

/// Logs the result of converting names.
pub fn log_names(report: &Report) {
    if report.changed > 0 {
        tracing::info!(accounts = report.changed, "converted e-mail addresses to canonical form");
    }
    for loss in &report.lost {
        tracing::warn!(username = %loss.username, name = %loss.name, kept_by = %loss.kept_by,
            "two accounts had one address in two spellings: the older account keeps it");
    }
    for username in &report.unresolved {
        tracing::warn!(%username, "this account's only name is another account's name in another spelling: \
                                   give it another username");
    }
}

/// Fills in the missing search text of notes, batch by batch.
async fn refold_notes(services: &State) {
    loop {
        match refold::run_batch(&services.core.database).await {
            Ok(true) => tokio::time::sleep(REFOLD_PAUSE).await,
            Ok(false) => return,
            Err(error) => {
                tracing::debug!(%error, "some notes have no search text yet; retrying later");
                return;
            }
        }
    }
}

fn measure(services: &State) {
    for pool in [services.core.database.threads(), services.core.passwords.threads()] {
        let (busy, waiting) = pool.depth();
        metrics::gauge!("doorward_pool_busy", "pool" => pool.name()).set(busy as f64);
        metrics::gauge!("doorward_pool_waiting", "pool" => pool.name()).set(waiting as f64);
    }
    let state = services.core.database.feed().state();
    for each in [FeedState::Live, FeedState::Polled, FeedState::Silent] {
        let is_it = f64::from(u8::from(each == state));
        metrics::gauge!("doorward_feed_state", "state" => each.as_str()).set(is_it);
    }
    for (what, entries) in services.cache.sizes() {
        metrics::gauge!("doorward_remembered", "what" => what).set(entries as f64);
    }
    let (open, idle) = services.core.database.connections();
    metrics::gauge!("doorward_database_connections", "state" => "open").set(f64::from(open));
    metrics::gauge!("doorward_database_connections", "state" => "idle").set(f64::from(idle));
}
