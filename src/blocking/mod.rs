//! The only way onto a blocking thread: bounded pools with a queue limit and a deadline, so that overload is refused
//! at once instead of piling up. The threads are a pool's own: one that is done takes the next work off the queue without
//! a detour over the async threads, and one that hashes can stand back behind all others.

pub mod batch;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// How much a low priority yields (nice(2)): beside a busy core about a tenth of it is left.
const LOW: i32 = 10;

/// A bounded number of blocking threads and a bounded queue in front of them. Clones share both.
#[derive(Clone, Debug)]
pub struct BlockingPool {
    handle: Arc<Handle>,
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

/// The askers' end: the threads end with the last of them.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    capacity: usize,
    queue_limit: usize,
    niceness: i32,
    state: Mutex<State>,
    work_arrived: Condvar,
}

/// Takes itself out of the busy ones when it is done.
type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    threads: usize,
    busy: usize,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "State({} of {} busy, {} waiting)", self.busy, self.threads, self.waiting.len())
    }
}

impl BlockingPool {
    /// A pool of up to `threads` with room for `queue_limit` waiting; `name` stands in metrics and errors.
    #[must_use]
    pub fn new(name: &'static str, threads: usize, queue_limit: usize) -> Self {
        Self::with_niceness(name, threads, queue_limit, 0)
    }

    /// The same for work that keeps a core busy: whatever else wants the core comes first.
    #[must_use]
    pub fn of_low_priority(name: &'static str, threads: usize, queue_limit: usize) -> Self {
        Self::with_niceness(name, threads, queue_limit, LOW)
    }

    fn with_niceness(name: &'static str, threads: usize, queue_limit: usize, niceness: i32) -> Self {
        metrics::gauge!("doorward_pool_threads", "pool" => name).set(threads as f64);
        let shared = Shared {
            name,
            capacity: threads,
            queue_limit,
            niceness,
            state: Mutex::default(),
            work_arrived: Condvar::new(),
        };
        Self { handle: Arc::new(Handle { shared: Arc::new(shared) }) }
    }

    /// Runs `work` on a blocking thread, within `deadline` from now, waiting included. Work whose asker has gone before
    /// it is begun is not done.
    ///
    /// # Errors
    /// See [`BlockingError`].
    pub async fn run<T, F>(&self, deadline: Duration, work: F) -> Result<T, BlockingError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let shared = &self.handle.shared;
        let (answer, answered) = oneshot::channel();
        let done = Arc::clone(shared);
        let work = Box::new(move || {
            // What is shared with the work is behind locks that shrug at poison.
            let result = (!answer.is_closed()).then(|| catch_unwind(AssertUnwindSafe(work)));
            // Its place is free again when the asker hears of it.
            done.lock().busy -= 1;
            if let Some(result) = result {
                let _ = answer.send(result);
            }
        });
        shared.enqueue(work).inspect_err(|_| note_shed(shared.name))?;
        match tokio::time::timeout(deadline, answered).await {
            Ok(Ok(Ok(done))) => Ok(done),
            Ok(Ok(Err(_)) | Err(_)) => Err(BlockingError::Panicked(shared.name)),
            Err(_) => Err(BlockingError::DeadlinePassed(shared.name)),
        }
    }

    /// Has `work` done, which nobody waits for and which may not panic.
    ///
    /// # Errors
    /// [`BlockingError::QueueFull`].
    fn start(&self, work: impl FnOnce() + Send + 'static) -> Result<(), BlockingError> {
        let shared = Arc::clone(&self.handle.shared);
        self.handle.shared.enqueue(Box::new(move || {
            work();
            shared.lock().busy -= 1;
        }))
    }

    /// How many may wait for a thread.
    fn queue_limit(&self) -> usize {
        self.handle.shared.queue_limit
    }

    /// How many threads are at work now, and how many calls wait for one.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        let state = self.handle.shared.lock();
        (state.busy, state.waiting.len())
    }

    /// The pool's name in metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.handle.shared.name
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work_arrived.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts work into the queue, with a thread for it where there are too few. It is refused where there is no room, or
    /// no thread.
    fn enqueue(self: &Arc<Self>, work: Work) -> Result<(), BlockingError> {
        let mut state = self.lock();
        let admitted = state.busy + state.waiting.len();
        let has_room = admitted < self.capacity + self.queue_limit;
        if has_room && admitted >= state.threads && state.threads < self.capacity {
            self.spawn(&mut state);
        }
        if !has_room || state.threads == 0 {
            return Err(BlockingError::QueueFull(self.name));
        }
        state.waiting.push_back(work);
        drop(state);
        self.work_arrived.notify_one();
        Ok(())
    }

    fn spawn(self: &Arc<Self>, state: &mut State) {
        let shared = Arc::clone(self);
        let spawned = std::thread::Builder::new().name(self.name.to_owned()).spawn(move || shared.attend());
        match spawned {
            Ok(_) => state.threads += 1,
            Err(error) => tracing::error!(%error, pool = self.name, "no thread could be begun"),
        }
    }

    /// A thread's life: one work after the other, until the askers have gone.
    fn attend(&self) {
        stand_back(self.niceness);
        let mut state = self.lock();
        loop {
            if let Some(work) = state.waiting.pop_front() {
                state.busy += 1;
                drop(state);
                work();
                state = self.lock();
            } else if state.closed {
                return;
            } else {
                state = self.work_arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Counts what was refused for want of room.
fn note_shed(pool: &'static str) {
    metrics::counter!("doorward_pool_shed_total", "pool" => pool).increment(1);
}

/// Linux knows a niceness for each thread; elsewhere it is the process's, and nothing is done.
fn stand_back(niceness: i32) {
    #[cfg(target_os = "linux")]
    if niceness > 0
        && let Err(error) = rustix::process::nice(niceness)
    {
        tracing::debug!(%error, "the priority stays as it is");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
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
    async fn work_whose_asker_has_gone_is_not_begun() {
        let pool = BlockingPool::new("test", 1, 2);
        let (release, held) = mpsc::channel::<()>();
        let stuck = pool.run(Duration::from_millis(20), move || held.recv().is_ok());
        assert_eq!(stuck.await, Err(BlockingError::DeadlinePassed("test")));
        let (begun, was_begun) = mpsc::channel::<()>();
        let waiting = pool.run(Duration::from_millis(20), move || begun.send(()).is_ok());
        assert_eq!(waiting.await, Err(BlockingError::DeadlinePassed("test")));
        release.send(()).expect("the stuck work still listens");
        assert_eq!(pool.run(LONG, || 1).await, Ok(1));
        assert!(was_begun.try_recv().is_err());
    }

    #[actix_web::test]
    async fn threads_are_begun_as_they_are_needed_and_never_more_than_may_be() {
        let pool = BlockingPool::new("test", 3, 100);
        assert_eq!(pool.handle.shared.lock().threads, 0);
        pool.run(LONG, || ()).await.expect("done");
        assert_eq!(pool.handle.shared.lock().threads, 1);
        // Three that wait for each other need three threads, and more make none.
        let together = Arc::new(std::sync::Barrier::new(3));
        let all = (0..48).map(|number| {
            let together = Arc::clone(&together);
            pool.run(LONG, move || {
                together.wait();
                number
            })
        });
        let done = futures_util::future::join_all(all).await;
        assert_eq!(done.into_iter().map(Result::unwrap).sum::<i32>(), (0..48).sum::<i32>());
        assert_eq!(pool.handle.shared.lock().threads, 3);
    }

    #[actix_web::test]
    async fn a_panic_is_an_error_and_frees_its_thread() {
        let pool = BlockingPool::new("test", 1, 0);
        let panicked: Result<(), _> = pool.run(LONG, || panic!("on purpose")).await;
        assert_eq!(panicked, Err(BlockingError::Panicked("test")));
        assert_eq!(pool.run(LONG, || 1).await, Ok(1));
    }
}
