//! Calls of one kind that are answered together: what arrives while others are answered waits, and the next call answers
//! all of it at once. Nothing waits for company: who comes alone is answered alone, at once.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{BlockingError, BlockingPool, note_shed};

/// How many are answered by one call at most.
const MOST: usize = 32;

/// What is asked, one of many.
pub trait Asked: Send + 'static {
    /// Whether one call may answer both.
    fn goes_with(&self, other: &Self) -> bool;
}

/// Puts calls together and has them answered on a pool's threads.
pub struct Batch<A, R> {
    shared: Arc<Shared<A, R>>,
}

type Answer<R> = oneshot::Sender<R>;
type AnswerAll<A, R> = Box<dyn Fn(&[A]) -> Vec<R> + Send + Sync>;

struct Shared<A, R> {
    pool: BlockingPool,
    /// Calls at a time. The fewer, the more are answered by each.
    calls: usize,
    answer_all: AnswerAll<A, R>,
    state: Mutex<State<A, R>>,
}

struct State<A, R> {
    waiting: VecDeque<(A, Answer<R>)>,
    /// Calls that are under way or wait for a thread.
    calls: usize,
}

impl<A: Asked, R: Send + 'static> Batch<A, R> {
    /// `answer_all` gives an answer to each that it is given, in their order; at most `calls` of it run at a time.
    pub fn new(
        pool: &BlockingPool,
        calls: usize,
        answer_all: impl Fn(&[A]) -> Vec<R> + Send + Sync + 'static,
    ) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), calls: 0 });
        Self {
            shared: Arc::new(Shared { pool: pool.clone(), calls, answer_all: Box::new(answer_all), state }),
        }
    }

    /// What `answer_all` makes of it, within `deadline` from now. As many may wait as for a thread of the pool.
    ///
    /// # Errors
    /// See [`BlockingError`]. Past the deadline it may be answered all the same, to nobody.
    pub async fn run(&self, deadline: Duration, asked: A) -> Result<R, BlockingError> {
        let name = self.shared.pool.name();
        let answered = self.shared.admit(asked).inspect_err(|_| note_shed(name))?;
        match tokio::time::timeout(deadline, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(BlockingError::Panicked(name)),
            Err(_) => Err(BlockingError::DeadlinePassed(name)),
        }
    }
}

impl<A: Asked, R: Send + 'static> Shared<A, R> {
    fn lock(&self) -> MutexGuard<'_, State<A, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(self: &Arc<Self>, asked: A) -> Result<oneshot::Receiver<R>, BlockingError> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.lock();
        if state.waiting.len() >= self.pool.queue_limit() {
            return Err(BlockingError::QueueFull(self.pool.name()));
        }
        if state.calls < self.calls {
            let shared = Arc::clone(self);
            match self.pool.start(move || shared.attend()) {
                Ok(()) => state.calls += 1,
                // Those under way come to it too.
                Err(_) if state.calls > 0 => {}
                Err(full) => return Err(full),
            }
        }
        state.waiting.push_back((asked, answer));
        Ok(answered)
    }

    /// One call, and on to the next behind whatever else waits for the pool by then.
    fn attend(self: Arc<Self>) {
        loop {
            let (asked, answers): (Vec<A>, Vec<Answer<R>>) = self.take().into_iter().unzip();
            if !asked.is_empty()
                && let Ok(done) = catch_unwind(AssertUnwindSafe(|| (self.answer_all)(&asked)))
            {
                for (answer, done) in answers.into_iter().zip(done) {
                    let _ = answer.send(done);
                }
            }
            let mut state = self.lock();
            if state.waiting.is_empty() {
                state.calls -= 1;
                return;
            }
            drop(state);
            let shared = Arc::clone(&self);
            if self.pool.start(move || shared.attend()).is_ok() {
                return;
            }
        }
    }

    /// Those who have waited longest and still do, as far as they go with each other.
    fn take(&self) -> Vec<(A, Answer<R>)> {
        let mut state = self.lock();
        let mut taken: Vec<(A, Answer<R>)> = Vec::with_capacity(state.waiting.len().min(MOST));
        let mut left = VecDeque::new();
        while let Some((asked, answer)) = state.waiting.pop_front() {
            if answer.is_closed() {
                continue;
            }
            if taken.len() == MOST || !taken.iter().all(|(other, _)| asked.goes_with(other)) {
                left.push_back((asked, answer));
            } else {
                taken.push((asked, answer));
            }
        }
        state.waiting = left;
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::future::join_all;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    impl Asked for u32 {
        fn goes_with(&self, other: &u32) -> bool {
            self % 1000 != other % 1000
        }
    }

    /// Answers with how many were answered together, when `go` says so.
    fn counting(pool: &BlockingPool, calls: usize) -> (Batch<u32, (u32, usize)>, mpsc::Sender<()>) {
        let (go, gone) = mpsc::channel();
        let gone = Mutex::new(gone);
        let batch = Batch::new(pool, calls, move |asked: &[u32]| {
            gone.lock().expect("not poisoned").recv_timeout(LONG).expect("a go");
            asked.iter().map(|number| (*number, asked.len())).collect()
        });
        (batch, go)
    }

    #[actix_web::test]
    async fn what_arrives_meanwhile_is_answered_together_and_each_gets_its_own() {
        let pool = BlockingPool::new("test", 2, 100);
        let (batch, go) = counting(&pool, 1);
        let first = batch.run(LONG, 1);
        let others = async {
            // The first is taken before the others come.
            while pool.depth() != (1, 0) || !batch.shared.lock().waiting.is_empty() {
                tokio::task::yield_now().await;
            }
            let others = join_all([2, 3, 1003, 4].map(|number| batch.run(LONG, number)));
            let (others, ()) = tokio::join!(others, async {
                for _ in 0..3 {
                    go.send(()).expect("it listens");
                }
            });
            others
        };
        let (first, others) = tokio::join!(first, others);
        assert_eq!(first, Ok((1, 1)));
        // 3 and 1003 do not go with each other.
        assert_eq!(others, [Ok((2, 3)), Ok((3, 3)), Ok((1003, 1)), Ok((4, 3))]);
        while batch.shared.lock().calls > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[actix_web::test]
    async fn no_call_answers_more_than_it_may_and_none_is_forgotten() {
        let pool = BlockingPool::new("test", 4, 1000);
        let batch = Batch::new(&pool, 2, |asked: &[u32]| vec![asked.len(); asked.len()]);
        let together = join_all((0..900).map(|number| batch.run(LONG, number))).await;
        assert!(
            together.iter().all(|together| together.as_ref().is_ok_and(|many| (1..=MOST).contains(many)))
        );
    }

    #[actix_web::test]
    async fn a_full_queue_refuses_and_whoever_has_gone_is_not_asked_for() {
        let pool = BlockingPool::new("test", 1, 2);
        let (batch, go) = counting(&pool, 1);
        let gone = Duration::from_millis(20);
        assert_eq!(batch.run(gone, 1).await, Err(BlockingError::DeadlinePassed("test")));
        assert_eq!(batch.run(gone, 2).await, Err(BlockingError::DeadlinePassed("test")));
        let (third, fourth) = tokio::join!(batch.run(LONG, 3), async {
            let fourth = batch.run(LONG, 4).await;
            (0..2).for_each(|_| go.send(()).expect("it listens"));
            fourth
        });
        assert_eq!(fourth, Err(BlockingError::QueueFull("test")));
        assert_eq!(third, Ok((3, 1)), "2 was not waiting any more");
    }

    #[actix_web::test]
    async fn a_panic_answers_nobody_and_the_next_are_answered() {
        let pool = BlockingPool::new("test", 1, 9);
        let batch = Batch::new(&pool, 1, |asked: &[u32]| {
            assert!(!asked.contains(&13), "on purpose");
            asked.to_vec()
        });
        assert_eq!(batch.run(LONG, 13).await, Err(BlockingError::Panicked("test")));
        assert_eq!(batch.run(LONG, 14).await, Ok(14));
    }
}
