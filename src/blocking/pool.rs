//! A pool of blocking threads with a fair, bounded queue. The threads belong to the pool. A thread that has
//! finished takes the next work from the queue itself, without involving the async threads. Threads that hash
//! passwords run at low priority.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::fair_queue::{Claim, FairQueue, Lane, QueueLimits, Queued};
use super::sync::{Condvar, Mutex, MutexGuard, planted, thread};

/// The niceness of a low-priority thread (nice(2)). It leaves such a thread about a tenth of a busy core.
const LOW: i32 = 10;

/// A bounded number of blocking threads with a bounded queue. Clones share both.
#[derive(Clone, Debug)]
pub struct BlockingPool {
    handle: Arc<Handle>,
}

/// Why work was not done, or returned no result in time.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum BlockingError {
    /// The queue is full, and no other party has more work waiting than the sender. The work was not started.
    #[error("the queue for {0} is full")]
    QueueFull(&'static str),
    /// The deadline passed. Work that had started continues and keeps its thread until it ends.
    #[error("{0} did not finish before its deadline")]
    DeadlinePassed(&'static str),
    #[error("{0} panicked")]
    Panicked(&'static str),
}

/// A receiver of the work's result.
pub type Answer<T> = oneshot::Receiver<Result<T, BlockingError>>;

/// The callers' side of the pool. The threads end when the last handle is dropped.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    limits: QueueLimits,
    niceness: i32,
    state: Mutex<State>,
    work_arrived: Condvar,
}

struct State {
    queue: FairQueue<Box<dyn Work>>,
    threads: usize,
    /// Counts the threads that wait for work.
    sleeping: usize,
    closed: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        let (running, waiting) = (state.queue.running(), state.queue.waiting());
        write!(formatter, "Shared({running} of {} running, {waiting} waiting)", state.threads)
    }
}

/// Queued work with any result type.
trait Work: Queued + Send {
    fn run(self: Box<Self>, place: RunningSlot);
    fn refuse(self: Box<Self>);
}

impl Queued for Box<dyn Work> {
    fn is_awaited(&self) -> bool {
        (**self).is_awaited()
    }

    fn is_refusable(&self) -> bool {
        (**self).is_refusable()
    }
}

/// Work whose caller waits for the result.
struct AwaitedWork<T, F> {
    work: F,
    answer: oneshot::Sender<Result<T, BlockingError>>,
    pool: &'static str,
}

impl<T, F> Queued for AwaitedWork<T, F> {
    fn is_awaited(&self) -> bool {
        !self.answer.is_closed()
    }
}

impl<T: Send, F: FnOnce() -> T + Send> Work for AwaitedWork<T, F> {
    fn run(self: Box<Self>, place: RunningSlot) {
        let Self { work, answer, pool } = *self;
        // Catching the panic is safe, because the work shares only locks that ignore poison.
        let done = catch_unwind(AssertUnwindSafe(work)).map_err(|_| BlockingError::Panicked(pool));
        // Free the place first, so that it is available when the caller receives the result.
        drop(place);
        let _ = answer.send(done);
    }

    fn refuse(self: Box<Self>) {
        let _ = self.answer.send(Err(BlockingError::QueueFull(self.pool)));
    }
}

/// Work that has no waiting caller and must be done.
struct DetachedWork<F>(F);

impl<F> Queued for DetachedWork<F> {
    fn is_awaited(&self) -> bool {
        true
    }

    fn is_refusable(&self) -> bool {
        false
    }
}

impl<F: FnOnce() + Send> Work for DetachedWork<F> {
    fn run(self: Box<Self>, place: RunningSlot) {
        (self.0)();
        drop(place);
    }

    fn refuse(self: Box<Self>) {}
}

/// A running thread's place under the limits. Dropping it frees the place.
struct RunningSlot {
    shared: Arc<Shared>,
    claim: Claim,
}

impl Drop for RunningSlot {
    /// Does not wake another thread, since this one looks for work itself.
    fn drop(&mut self) {
        self.shared.lock().queue.finish(&self.claim);
    }
}

impl BlockingPool {
    /// Creates a pool with these limits. `name` identifies it in metrics and errors.
    #[must_use]
    pub fn new(name: &'static str, limits: QueueLimits) -> Self {
        Self::with_niceness(name, limits, 0)
    }

    /// Creates a pool for work that keeps a core busy. All other work on the core has precedence.
    #[must_use]
    pub fn with_low_priority(name: &'static str, limits: QueueLimits) -> Self {
        Self::with_niceness(name, limits, LOW)
    }

    fn with_niceness(name: &'static str, limits: QueueLimits, niceness: i32) -> Self {
        metrics::gauge!("doorward_pool_threads", "pool" => name).set(limits.running() as f64);
        let queue = FairQueue::new(limits);
        let state = Mutex::new(State { queue, threads: 0, sleeping: 0, closed: false });
        let shared = Shared { name, limits, niceness, state, work_arrived: Condvar::new() };
        Self { handle: Arc::new(Handle { shared: Arc::new(shared) }) }
    }

    /// Runs `work` on a blocking thread, within `deadline` from now, including the time in the queue. Work is
    /// not started after its caller is gone.
    pub async fn run<T, F>(&self, deadline: Duration, claim: Claim, work: F) -> Result<T, BlockingError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let name = self.name();
        match tokio::time::timeout(deadline, self.ask(claim, work)).await {
            Ok(answer) => answer.unwrap_or(Err(BlockingError::Panicked(name))),
            Err(_) => Err(BlockingError::DeadlinePassed(name)),
        }
    }

    /// Queues work and returns the receiver of its result.
    pub fn ask<T, F>(&self, claim: Claim, work: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.handle.shared.enqueue(claim, Box::new(AwaitedWork { work, answer, pool: self.name() }));
        answered
    }

    /// Queues `work` that has no waiting caller and must not panic. It is never refused, so the caller must
    /// limit how much it queues. Returns false if the pool has no thread to run it.
    pub(super) fn start(&self, claim: Claim, work: impl FnOnce() + Send + 'static) -> bool {
        self.handle.shared.enqueue(claim, Box::new(DetachedWork(work)))
    }

    /// Returns the limit of work that waits for a thread.
    pub(super) fn queue_limit(&self) -> usize {
        self.handle.shared.limits.waiting()
    }

    /// Returns how much work runs, and how much waits for a thread.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        let state = self.handle.shared.lock();
        (state.queue.running(), state.queue.waiting())
    }

    /// Returns how many threads were started.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.handle.shared.lock().threads
    }

    /// Returns the pool's name in metrics and errors.
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

    /// Queues work, starting another thread if fewer than allowed exist. Refuses the work that the queue
    /// drops for it. Returns false if the pool has no thread.
    fn enqueue(self: &Arc<Self>, claim: Claim, work: Box<dyn Work>) -> bool {
        let mut state = self.lock();
        let admitted = state.queue.running() + state.queue.waiting();
        if admitted >= state.threads && state.threads < self.limits.running() {
            self.spawn(&mut state);
        }
        if state.threads == 0 {
            drop(state);
            self.refuse(claim.lane(), work);
            return false;
        }
        let removed = state.queue.push(claim, work);
        let wakes = state.sleeping > 0 && state.queue.may_run(&claim);
        drop(state);
        planted!(LostWakeup => { return true; });
        if wakes {
            self.work_arrived.notify_one();
        }
        for work in removed {
            self.refuse(claim.lane(), work);
        }
        true
    }

    fn refuse(&self, lane: Lane, work: Box<dyn Work>) {
        if work.is_awaited() {
            count_shed(self.name, lane);
        }
        work.refuse();
    }

    fn spawn(self: &Arc<Self>, state: &mut State) {
        let shared = Arc::clone(self);
        let spawned = thread::Builder::new().name(self.name.to_owned()).spawn(move || shared.attend());
        match spawned {
            Ok(_) => state.threads += 1,
            Err(error) => tracing::error!(%error, pool = self.name, "no thread could be started"),
        }
    }

    /// Runs a thread of the pool. It takes one piece of work after the other until all handles are dropped.
    fn attend(self: Arc<Self>) {
        lower_priority(self.niceness);
        let mut discarded = Vec::new();
        let mut state = self.lock();
        loop {
            if let Some((claim, work)) = state.queue.take(&mut discarded) {
                // The work that ended before may have kept more than one other from running.
                let wakes = state.sleeping > 0 && state.queue.has_runnable();
                drop(state);
                if wakes {
                    self.work_arrived.notify_one();
                }
                discarded.clear();
                work.run(RunningSlot { shared: Arc::clone(&self), claim });
                state = self.lock();
            } else if !discarded.is_empty() {
                drop(state);
                discarded.clear();
                state = self.lock();
            } else if state.closed {
                return;
            } else {
                state.sleeping += 1;
                state = self.work_arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.sleeping -= 1;
            }
        }
    }
}

/// Counts work that was refused because the queue was full.
pub(super) fn count_shed(pool: &'static str, lane: Lane) {
    metrics::counter!("doorward_pool_shed_total", "pool" => pool, "lane" => lane.as_str()).increment(1);
}

/// Lowers the current thread's priority. Does nothing outside Linux, where niceness belongs to the whole
/// process.
fn lower_priority(niceness: i32) {
    #[cfg(target_os = "linux")]
    if niceness > 0
        && let Err(error) = rustix::process::nice(niceness)
    {
        tracing::debug!(%error, "the thread's priority could not be changed");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}
