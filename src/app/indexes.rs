//! Creates missing indexes while the server runs, on a thread and a connection of their own, because this may
//! take minutes.

use std::time::Duration;

use crate::blocking::{BlockingPool, Lane, QueueLimits, WorkOwner};
use crate::database::migrate::{self, Indexes};
use crate::database::{Database, DatabaseError};

/// The first pause between two attempts. The pause doubles each time.
const RETRY_FIRST: Duration = Duration::from_secs(60);
/// The longest pause between two attempts.
const RETRY_LAST: Duration = Duration::from_secs(3_600);
/// The time limit for creating all of them.
const MADE_WITHIN: Duration = Duration::from_secs(86_400);

/// Creates the missing indexes. Retries those that failed or that another node was creating.
pub(super) async fn run(url: String) {
    let thread = BlockingPool::new("indexes", QueueLimits::new(1, 1));
    let mut pause = RETRY_FIRST;
    loop {
        match make(&thread, url.clone()).await {
            Ok(Indexes::Complete) => pause = RETRY_LAST,
            Ok(Indexes::Missing) => {}
            Err(error) => tracing::warn!(%error, "the check for missing indexes failed; retrying later"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_LAST);
    }
}

async fn make(thread: &BlockingPool, url: String) -> Result<Indexes, DatabaseError> {
    let claim = WorkOwner::default().claim(Lane::Ordinary);
    let made = thread.run(MADE_WITHIN, claim, move || {
        let mut connection = Database::connect(&url)?;
        Ok(migrate::make_indexes(&mut connection)?)
    });
    made.await?
}
