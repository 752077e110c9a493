//! Answers requests of one kind in batches. Requests that arrive while others are answered wait, and the next
//! call answers them all. A single request is never delayed to fill a batch. When more wait than one call
//! answers, their parties alternate.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::fair_queue::{Claim, FairQueue, Lane, Party, QueueLimits, Queued};
use super::pool::{Answer, BlockingError, BlockingPool, count_shed};
use super::sync::{Mutex, MutexGuard, planted};

/// The maximum number of requests that one call answers.
pub(crate) const MOST: usize = 32;
/// The party of all batch calls in the pool's queue.
const BATCHES: Party = Party::of_hash(0x6261_7463_6865_7321);

/// A request that can be answered in a batch.
pub trait BatchRequest: Send + 'static {
    /// Returns whether one call may answer both requests.
    fn can_join(&self, other: &Self) -> bool;
}

/// Collects requests into batches and answers them on a pool's threads.
pub(crate) struct Batch<A, R> {
    shared: Arc<Shared<A, R>>,
}

type AnswerAll<A, R> = Box<dyn Fn(&[A]) -> Vec<R> + Send + Sync>;

struct Shared<A, R> {
    pool: BlockingPool,
    /// Limits the concurrent calls. The fewer there are, the more requests each answers.
    calls: usize,
    answer_all: AnswerAll<A, R>,
    state: Mutex<State<A, R>>,
}

struct State<A, R> {
    queue: FairQueue<PendingRequest<A, R>>,
    /// Counts the calls that run or wait for a thread.
    calls: usize,
}

struct PendingRequest<A, R> {
    asked: A,
    answer: oneshot::Sender<Result<R, BlockingError>>,
}

impl<A, R> Queued for PendingRequest<A, R> {
    fn is_awaited(&self) -> bool {
        !self.answer.is_closed()
    }
}

impl<A: BatchRequest, R: Send + 'static> Batch<A, R> {
    /// Creates a batch. `answer_all` returns one answer for each request, in order. At most `calls` of them
    /// run at a time.
    pub(crate) fn new(
        pool: &BlockingPool,
        calls: usize,
        answer_all: impl Fn(&[A]) -> Vec<R> + Send + Sync + 'static,
    ) -> Self {
        let queue = FairQueue::new(QueueLimits::of_waiting(pool.queue_limit()));
        let state = Mutex::new(State { queue, calls: 0 });
        Self {
            shared: Arc::new(Shared { pool: pool.clone(), calls, answer_all: Box::new(answer_all), state }),
        }
    }

    /// Returns the answer of `answer_all` to this request, within `deadline` from now. As many requests may
    /// wait as calls may wait for a thread of the pool.
    ///
    /// # Errors
    /// See [`BlockingError`]. A request past its deadline may still be answered, but no one receives the
    /// answer.
    pub(crate) async fn run(&self, deadline: Duration, claim: Claim, asked: A) -> Result<R, BlockingError> {
        let name = self.shared.pool.name();
        match tokio::time::timeout(deadline, self.ask(claim, asked)).await {
            Ok(answer) => answer.unwrap_or(Err(BlockingError::Panicked(name))),
            Err(_) => Err(BlockingError::DeadlinePassed(name)),
        }
    }

    /// Queues a request, and starts a call if fewer than allowed run.
    pub(crate) fn ask(&self, claim: Claim, asked: A) -> Answer<R> {
        let (answer, answered) = oneshot::channel();
        self.shared.admit(claim, PendingRequest { asked, answer });
        answered
    }

    /// Returns how many requests wait, and how many calls run or wait for a thread.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn depth(&self) -> (usize, usize) {
        let state = self.shared.lock();
        (state.queue.waiting(), state.calls)
    }
}

impl<A: BatchRequest, R: Send + 'static> Shared<A, R> {
    fn lock(&self) -> MutexGuard<'_, State<A, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(self: &Arc<Self>, claim: Claim, waiting: PendingRequest<A, R>) {
        let mut state = self.lock();
        let mut removed = state.queue.push(claim, waiting);
        if state.calls < self.calls && state.queue.waiting() > 0 {
            let shared = Arc::clone(self);
            if self.pool.start(Claim::new(Lane::Ordinary, BATCHES), move || shared.attend()) {
                state.calls += 1;
            } else if state.calls == 0 {
                removed.extend(state.queue.drain());
            }
        }
        drop(state);
        for PendingRequest { answer, .. } in removed {
            let is_wanted = !answer.is_closed();
            if is_wanted {
                count_shed(self.pool.name(), claim.lane());
            }
            let _ = answer.send(Err(BlockingError::QueueFull(self.pool.name())));
        }
    }

    /// Answers one batch, then queues the next call behind all other work that waits for the pool.
    fn attend(self: Arc<Self>) {
        loop {
            let (asked, answers): (Vec<A>, Vec<_>) =
                self.take().into_iter().map(|waiting| (waiting.asked, waiting.answer)).unzip();
            if !asked.is_empty()
                && let Ok(done) = catch_unwind(AssertUnwindSafe(|| (self.answer_all)(&asked)))
            {
                for (answer, done) in answers.into_iter().zip(done) {
                    let _ = answer.send(Ok(done));
                }
            }
            let mut state = self.lock();
            if state.queue.waiting() == 0 {
                planted!(EndsBetween => { drop(state); state = self.lock(); });
                state.calls -= 1;
                return;
            }
            drop(state);
            let shared = Arc::clone(&self);
            if self.pool.start(Claim::new(Lane::Ordinary, BATCHES), move || shared.attend()) {
                return;
            }
        }
    }

    /// Takes the requests that are due first, as many as one call answers.
    fn take(&self) -> Vec<PendingRequest<A, R>> {
        let mut state = self.lock();
        let mut taken: Vec<PendingRequest<A, R>> = Vec::with_capacity(state.queue.waiting().min(MOST));
        let mut discarded = Vec::new();
        while taken.len() < MOST {
            let goes_with_all =
                |new: &PendingRequest<A, R>| taken.iter().all(|other| new.asked.can_join(&other.asked));
            let Some((claim, waiting)) = state.queue.take_if(&mut discarded, goes_with_all) else { break };
            state.queue.finish(&claim);
            taken.push(waiting);
        }
        drop(state);
        taken
    }
}
