//! The only way onto a blocking thread: bounded pools with a queue limit and a deadline, so that overload is refused
//! at once instead of piling up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// A bounded number of blocking threads and a bounded queue in front of them. Clones share both.
#[derive(Clone, Debug)]
pub struct BlockingPool {
    name: &'static str,
    threads: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    capacity: usize,
    queue_limit: usize,
}

/// Why work was not done, or its result did not come in time.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum BlockingError {
    /// As many wait as may wait; nothing was begun.
    #[error("the queue for {0} is full")]
    QueueFull(&'static str),
    /// The deadline passed. Where the work had begun, it goes on by itself and keeps its thread until it ends.
    #[error("{0} did not finish before its deadline")]
    DeadlinePassed(&'static str),
    /// The work panicked.
    #[error("{0} panicked")]
    Panicked(&'static str),
}

impl BlockingPool {
    /// A pool of `threads` with room for `queue_limit` waiting; `name` stands in metrics and errors.
    #[must_use]
    pub fn new(name: &'static str, threads: usize, queue_limit: usize) -> Self {
        let pool = Self {
            name,
            threads: Arc::new(Semaphore::new(threads)),
            queue: Arc::new(Semaphore::new(threads + queue_limit)),
            capacity: threads,
            queue_limit,
        };
        metrics::gauge!("doorward_pool_threads", "pool" => name).set(threads as f64);
        pool
    }

    /// Runs `work` on a blocking thread, within `deadline` from now, waiting included.
    ///
    /// # Errors
    /// See [`BlockingError`].
    pub async fn run<T, F>(&self, deadline: Duration, work: F) -> Result<T, BlockingError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.queue).try_acquire_owned() else {
            metrics::counter!("doorward_pool_shed_total", "pool" => self.name).increment(1);
            return Err(BlockingError::QueueFull(self.name));
        };
        tokio::time::timeout(deadline, self.run_in_turn(place, work))
            .await
            .map_err(|_| BlockingError::DeadlinePassed(self.name))?
    }

    #[allow(clippy::disallowed_methods)] // the one place
    async fn run_in_turn<T, F>(&self, place: OwnedSemaphorePermit, work: F) -> Result<T, BlockingError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let thread = Arc::clone(&self.threads)
            .acquire_owned()
            .await
            .map_err(|_: AcquireError| BlockingError::Panicked(self.name))?;
        let done = actix_web::web::block(move || {
            // The permits go with the work: a thread that is stuck past its deadline still counts.
            let _held = (place, thread);
            work()
        });
        done.await.map_err(|_| BlockingError::Panicked(self.name))
    }

    /// How many threads are at work now, and how many calls wait for one.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        let busy = self.capacity - self.threads.available_permits().min(self.capacity);
        let admitted = (self.capacity + self.queue_limit).saturating_sub(self.queue.available_permits());
        (busy, admitted.saturating_sub(busy))
    }

    /// The pool's name in metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[actix_web::test]
    async fn a_full_queue_refuses_at_once_and_stuck_work_keeps_its_thread() {
        let pool = BlockingPool::new("test", 1, 1);
        let (release, held) = mpsc::channel::<()>();
        let stuck = pool.run(Duration::from_millis(20), move || held.recv().is_ok());
        assert_eq!(stuck.await, Err(BlockingError::DeadlinePassed("test")));
        assert_eq!(pool.depth(), (1, 0), "the stuck work still holds the one thread");

        let waiting = pool.run(LONG, || 7);
        let (waited, refused) = tokio::join!(waiting, async {
            let refused = pool.run(LONG, || 8).await;
            release.send(()).expect("the stuck work still listens");
            refused
        });
        assert_eq!(refused, Err(BlockingError::QueueFull("test")));
        assert_eq!(waited, Ok(7));
    }

    #[actix_web::test]
    async fn a_panic_is_an_error_and_frees_its_thread() {
        let pool = BlockingPool::new("test", 1, 0);
        let panicked: Result<(), _> = pool.run(LONG, || panic!("on purpose")).await;
        assert_eq!(panicked, Err(BlockingError::Panicked("test")));
        assert_eq!(pool.run(LONG, || 1).await, Ok(1));
    }
}
