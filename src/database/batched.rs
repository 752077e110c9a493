//! Answers several calls of one kind with one statement, so that many cost little more than one.

use diesel::{PgConnection, QueryResult};

use super::failure::is_broken_off;
use super::feed::{self, Feed};
use super::{Database, DatabaseError, wait_for, with_connection};
use crate::blocking::Claim;
use crate::blocking::batch::{Batch, BatchRequest};

/// The calls of one kind. See [`Database::batched`].
pub struct Batched<A, T> {
    batch: Batch<A, (Result<Option<T>, String>, bool)>,
    feed: Feed,
}

impl Database {
    /// Creates batched calls of one kind. `work` answers all calls of a batch, in their order, or returns
    /// `None` for those that must be asked alone. Batches use at most a quarter of the connections at a time,
    /// or two if that is more.
    #[must_use]
    pub fn batched<A, T, F>(&self, work: F) -> Batched<A, T>
    where
        A: BatchRequest,
        T: Send + 'static,
        F: Fn(&mut PgConnection, &[A]) -> QueryResult<Vec<Option<T>>> + Send + Sync + 'static,
    {
        let connections = self.connections.clone();
        let calls = (connections.max_size() as usize / 4).max(2);
        let answer_all = move |asked: &[A]| {
            let work = || with_connection(&connections, |connection| work(connection, asked));
            let (answers, published) = feed::listen(work);
            let each: Vec<Result<Option<T>, String>> = match answers {
                Ok(answers) => answers.into_iter().map(Ok).collect(),
                Err(DatabaseError::Unavailable(why)) if !is_broken_off(&why) => {
                    asked.iter().map(|_| Err(why.clone())).collect()
                }
                // Each call is then asked alone, which shows whose statement failed or met a lock.
                Err(_) => asked.iter().map(|_| Ok(None)).collect(),
            };
            each.into_iter().map(|answer| (answer, published)).collect()
        };
        Batched { batch: Batch::new(&self.threads, calls, answer_all), feed: self.feed.clone() }
    }
}

impl<A: BatchRequest, T: Send + 'static> Batched<A, T> {
    /// Returns the answer to this call, or `None` if it must be asked alone. Feed events that any call of the
    /// batch published apply on this node when this returns. If more calls wait than one statement answers,
    /// the parties of their claims alternate.
    pub async fn run(&self, claim: Claim, asked: A) -> Result<Option<T>, DatabaseError> {
        let answer = wait_for(&self.feed, |patience| self.batch.run(patience, claim, asked)).await?;
        answer.map_err(DatabaseError::Unavailable)
    }
}
