//! Calls of one kind that one statement answers together, so that many cost little more than one.

use diesel::{PgConnection, QueryResult};

use super::failure::is_broken_off;
use super::feed::{self, Feed};
use super::{Database, DatabaseError, wait_for, with_connection};
use crate::blocking::Claim;
use crate::blocking::batch::{Asked, Batch};

/// See [`Database::together`].
pub struct Together<A, T> {
    batch: Batch<A, (Result<Option<T>, String>, bool)>,
    feed: Feed,
}

impl Database {
    /// Has calls of one kind answered together: `work` answers each, in their order, or leaves it to be asked for alone.
    /// A quarter of the connections are at it at a time at most, or two where that is less.
    #[must_use]
    pub fn together<A, T, F>(&self, work: F) -> Together<A, T>
    where
        A: Asked,
        T: Send + 'static,
        F: Fn(&mut PgConnection, &[A]) -> QueryResult<Vec<Option<T>>> + Send + Sync + 'static,
    {
        let connections = self.connections.clone();
        let calls = (connections.max_size() as usize / 4).max(2);
        let answer_all = move |asked: &[A]| {
            let work = || with_connection(&connections, |connection| work(connection, asked));
            let (answers, announced) = feed::listen(work);
            let each: Vec<Result<Option<T>, String>> = match answers {
                Ok(answers) => answers.into_iter().map(Ok).collect(),
                Err(DatabaseError::Unavailable(why)) if !is_broken_off(&why) => {
                    asked.iter().map(|_| Err(why.clone())).collect()
                }
                // Whose fault it is, or whose locks, shows when each is asked for alone.
                Err(_) => asked.iter().map(|_| Ok(None)).collect(),
            };
            each.into_iter().map(|answer| (answer, announced)).collect()
        };
        Together { batch: Batch::new(&self.threads, calls, answer_all), feed: self.feed.clone() }
    }
}

impl<A: Asked, T: Send + 'static> Together<A, T> {
    /// The answer to this one; `None`: it is to be asked for alone. What the others with it announced on the feed is in
    /// force here too when this ends. Past what one statement answers, those of different claims take turns.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub async fn run(&self, claim: Claim, asked: A) -> Result<Option<T>, DatabaseError> {
        let answer = wait_for(&self.feed, |patience| self.batch.run(patience, claim, asked)).await?;
        answer.map_err(DatabaseError::Unavailable)
    }
}
