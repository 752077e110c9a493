//! Tests a pool's threads, the order of its work, and which work it refuses.

use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

use futures_util::future::join_all;

use super::{LONG, claim};
use crate::blocking::fair_queue::{Lane, LaneLimits, Party, QueueLimits};
use crate::blocking::{Answer, BlockingError, BlockingPool, Claim};

fn pool(threads: usize, queue_limit: usize) -> BlockingPool {
    BlockingPool::new("test", QueueLimits::new(threads, queue_limit))
}

/// Keeps a thread busy until the sender is used or dropped.
async fn hold(pool: &BlockingPool, claim: Claim) -> (mpsc::Sender<()>, Answer<bool>) {
    let (release, held) = mpsc::channel::<()>();
    let (starts, started) = tokio::sync::oneshot::channel();
    let answer = pool.ask(claim, move || {
        let _ = starts.send(());
        held.recv().is_ok()
    });
    started.await.expect("it starts");
    (release, answer)
}

#[actix_web::test]
async fn full_queue_refuses_at_once_and_stuck_work_keeps_its_thread() {
    let pool = pool(1, 1);
    let (release, held) = mpsc::channel::<()>();
    // Long enough for the work to start on a busy machine before the deadline passes.
    let stuck = pool.run(Duration::from_millis(500), claim(1), move || held.recv().is_ok());
    assert_eq!(stuck.await, Err(BlockingError::DeadlinePassed("test")));
    assert_eq!(pool.depth(), (1, 0), "the stuck work still holds the one thread");

    let waiting = pool.run(LONG, claim(1), || 7);
    let (waited, refused) = tokio::join!(waiting, async {
        let refused = pool.run(LONG, claim(1), || 8).await;
        release.send(()).expect("the stuck work still listens");
        refused
    });
    assert_eq!(refused, Err(BlockingError::QueueFull("test")));
    assert_eq!(waited, Ok(7));
}

#[actix_web::test]
async fn abandoned_work_is_not_started() {
    let pool = pool(1, 2);
    let (release, _held) = hold(&pool, claim(1)).await;
    let (started, was_begun) = mpsc::channel::<()>();
    drop(pool.ask(claim(1), move || started.send(()).is_ok()));
    release.send(()).expect("the stuck work still listens");
    assert_eq!(pool.run(LONG, claim(1), || 1).await, Ok(1));
    assert!(was_begun.try_recv().is_err());
}

#[actix_web::test]
async fn threads_start_as_needed_up_to_the_limit() {
    let pool = pool(3, 100);
    assert_eq!(pool.threads(), 0);
    pool.run(LONG, claim(1), || ()).await.expect("done");
    assert_eq!(pool.threads(), 1);
    // Three calls that wait for each other need three threads. Further calls start no more.
    let together = Arc::new(Barrier::new(3));
    let all = (0..48).map(|number| {
        let together = Arc::clone(&together);
        pool.run(LONG, claim(1), move || {
            together.wait();
            number
        })
    });
    let done = join_all(all).await;
    assert_eq!(done.into_iter().map(Result::unwrap).sum::<i32>(), (0..48).sum::<i32>());
    assert_eq!(pool.threads(), 3);
}

#[actix_web::test]
async fn panic_is_returned_as_an_error_and_frees_its_thread() {
    let pool = pool(1, 0);
    let panicked: Result<(), _> = pool.run(LONG, claim(1), || panic!("on purpose")).await;
    assert_eq!(panicked, Err(BlockingError::Panicked("test")));
    assert_eq!(pool.run(LONG, claim(1), || 1).await, Ok(1));
}

#[actix_web::test]
async fn thread_serves_another_party_before_the_rest_of_a_flood() {
    let pool = pool(1, 8);
    let (release, _held) = hold(&pool, claim(1)).await;
    let served = Arc::new(Mutex::new(Vec::new()));
    let ask = |party, name: &'static str| {
        let served = Arc::clone(&served);
        pool.ask(claim(party), move || served.lock().expect("not poisoned").push(name))
    };
    let waiting = [ask(1, "flood 1"), ask(1, "flood 2"), ask(2, "other"), ask(3, "another")];
    drop(release);
    join_all(waiting).await;
    assert_eq!(*served.lock().expect("not poisoned"), ["other", "another", "flood 1", "flood 2"]);
}

#[actix_web::test]
async fn newest_of_a_flood_is_refused_for_another_party() {
    let pool = pool(1, 2);
    let (release, _held) = hold(&pool, claim(1)).await;
    let (first, second) = (pool.ask(claim(1), || 1), pool.ask(claim(1), || 2));
    let other = pool.ask(claim(2), || 3);
    assert_eq!(second.await, Ok(Err(BlockingError::QueueFull("test"))));
    drop(release);
    assert_eq!((first.await, other.await), (Ok(Ok(1)), Ok(Ok(3))));
}

#[actix_web::test]
async fn party_at_its_limit_leaves_threads_for_others() {
    let lane = LaneLimits { running: 2, running_per_party: 1, waiting: 9 };
    let pool = BlockingPool::new("test", QueueLimits::new(2, 9).with_lane(Lane::Ordinary, lane));
    let (release, _held) = hold(&pool, claim(1)).await;
    let slow = pool.ask(claim(1), || 1);
    assert_eq!(pool.run(LONG, claim(2), || 2).await, Ok(2), "before the other one's second");
    assert_eq!(pool.depth(), (1, 1));
    drop(release);
    assert_eq!(slow.await, Ok(Ok(1)));
}

#[actix_web::test]
async fn all_work_that_a_finished_job_unblocks_is_run() {
    let lane = |running, running_per_party| LaneLimits { running, running_per_party, waiting: 9 };
    let limits =
        QueueLimits::new(3, 9).with_lane(Lane::Ordinary, lane(3, 1)).with_lane(Lane::Expensive, lane(1, 1));
    let pool = BlockingPool::new("test", limits);
    // Start three threads and let them wait for work.
    let together = Arc::new(Barrier::new(3));
    let meet = |number| {
        let together = Arc::clone(&together);
        pool.ask(claim(number), move || together.wait().is_leader())
    };
    join_all([meet(1), meet(2), meet(3)]).await;
    let expensive = |number| Claim::new(Lane::Expensive, Party::of_hash(number));
    let (release, _held) = hold(&pool, expensive(1)).await;
    // One call waits for its party's limit and the other for its lane's. They also wait for each other.
    let both = Arc::new(Barrier::new(2));
    let ask = |claim| {
        let both = Arc::clone(&both);
        pool.ask(claim, move || both.wait().is_leader())
    };
    let waiting = [ask(claim(1)), ask(expensive(2))];
    drop(release);
    let leaders = join_all(waiting).await.into_iter().filter(|answer| *answer == Ok(Ok(true))).count();
    assert_eq!(leaders, 1);
}
