//! Tests which requests a batch answers together, and in which order.

use std::sync::{Mutex, mpsc};

use futures_util::future::join_all;

use super::{LONG, claim};
use crate::blocking::batch::{Batch, BatchRequest, MOST};
use crate::blocking::{BlockingError, BlockingPool, QueueLimits};

impl BatchRequest for u32 {
    fn can_join(&self, other: &u32) -> bool {
        self % 1000 != other % 1000
    }
}

fn pool(threads: usize, queue_limit: usize) -> BlockingPool {
    BlockingPool::new("test", QueueLimits::new(threads, queue_limit))
}

/// Creates a batch that answers with the number of requests in the call. Each call waits for a message on
/// `go`.
fn counting(pool: &BlockingPool, calls: usize) -> (Batch<u32, (u32, usize)>, mpsc::Sender<()>) {
    let (go, gone) = mpsc::channel();
    let gone = Mutex::new(gone);
    let batch = Batch::new(pool, calls, move |asked: &[u32]| {
        gone.lock().expect("not poisoned").recv_timeout(LONG).expect("a go");
        asked.iter().map(|number| (*number, asked.len())).collect()
    });
    (batch, go)
}

/// Waits until the first call has taken all waiting requests.
async fn taken<R: Send + 'static>(batch: &Batch<u32, R>, pool: &BlockingPool) {
    while pool.depth() != (1, 0) || batch.depth().0 > 0 {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn waiting_requests_are_batched_and_answered_individually() {
    let pool = pool(2, 100);
    let (batch, go) = counting(&pool, 1);
    let first = batch.run(LONG, claim(1), 1);
    let others = async {
        taken(&batch, &pool).await;
        let others = join_all([2, 3, 1003, 4].map(|number| batch.run(LONG, claim(1), number)));
        let (others, ()) = tokio::join!(others, async {
            for _ in 0..3 {
                go.send(()).expect("it listens");
            }
        });
        others
    };
    let (first, others) = tokio::join!(first, others);
    assert_eq!(first, Ok((1, 1)));
    // 3 and 1003 must not be answered by the same call.
    assert_eq!(others, [Ok((2, 3)), Ok((3, 3)), Ok((1003, 1)), Ok((4, 3))]);
    while batch.depth().1 > 0 {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn batches_stay_within_the_limit_and_answer_every_request() {
    let pool = pool(4, 1000);
    let batch = Batch::new(&pool, 2, |asked: &[u32]| vec![asked.len(); asked.len()]);
    let together = join_all((0..900).map(|number| batch.run(LONG, claim(1), number))).await;
    assert!(together.iter().all(|together| together.as_ref().is_ok_and(|many| (1..=MOST).contains(many))));
}

#[actix_web::test]
async fn full_queue_refuses_and_cancelled_requests_are_skipped() {
    let pool = pool(1, 2);
    let (batch, go) = counting(&pool, 1);
    let first = batch.ask(claim(1), 1);
    taken(&batch, &pool).await;
    drop(batch.ask(claim(1), 2));
    let (third, fourth) = (batch.ask(claim(1), 3), batch.ask(claim(1), 4));
    let fifth = batch.ask(claim(1), 5);
    assert_eq!(fifth.await, Ok(Err(BlockingError::QueueFull("test"))));
    (0..2).for_each(|_| go.send(()).expect("it listens"));
    let answers = (first.await, third.await, fourth.await);
    assert_eq!(answers, (Ok(Ok((1, 1))), Ok(Ok((3, 2))), Ok(Ok((4, 2)))), "2 was not waiting any more");
}

#[actix_web::test]
async fn panic_fails_its_callers_but_not_later_requests() {
    let pool = pool(1, 9);
    let batch = Batch::new(&pool, 1, |asked: &[u32]| {
        assert!(!asked.contains(&13), "on purpose");
        asked.to_vec()
    });
    assert_eq!(batch.run(LONG, claim(1), 13).await, Err(BlockingError::Panicked("test")));
    assert_eq!(batch.run(LONG, claim(1), 14).await, Ok(14));
}

#[actix_web::test]
async fn batch_refuses_the_callers_that_a_call_leaves_out() {
    let pool = pool(1, 9);
    let batch = Batch::new(&pool, 1, |asked: &[u32]| {
        asked.iter().copied().take_while(|number| *number != 13).collect()
    });
    let answers = join_all([12, 13, 14].map(|number| batch.run(LONG, claim(1), number))).await;
    let left_out = Err(BlockingError::Panicked("test"));
    assert_eq!(answers[..2], [Ok(12), left_out]);
    assert!(answers[2] == Ok(14) || answers[2] == left_out, "{:?}", answers[2]);
}

#[actix_web::test]
async fn flood_from_one_party_leaves_others_a_share_of_the_batch() {
    let pool = pool(1, 50);
    let (batch, go) = counting(&pool, 1);
    let first = batch.ask(claim(1), 0);
    taken(&batch, &pool).await;
    let flood: Vec<_> = (1..=50).map(|number| batch.ask(claim(1), number)).collect();
    let others: Vec<_> = (101..=105).map(|number| batch.ask(claim(2), number)).collect();
    (0..3).for_each(|_| go.send(()).expect("it listens"));
    assert_eq!(first.await, Ok(Ok((0, 1))));
    let others = join_all(others).await;
    let together: Vec<_> = (101..=105).map(|number| Ok(Ok((number, MOST)))).collect();
    assert_eq!(others, together, "they are in the first full call");
    let refused = join_all(flood).await.into_iter().map(|answer| answer.expect("answered").is_err());
    let refused: Vec<usize> =
        refused.enumerate().filter(|(_, is_refused)| *is_refused).map(|(at, _)| at).collect();
    assert_eq!(refused, [45, 46, 47, 48, 49], "the newest of whoever has the most");
}

#[actix_web::test]
async fn repeated_token_does_not_get_other_callers_refused() {
    let pool = pool(1, 10);
    let (batch, go) = counting(&pool, 1);
    let first = batch.ask(claim(1), 7);
    taken(&batch, &pool).await;
    let repeats: Vec<_> = (1..=12).map(|number| batch.ask(claim(1), number * 1000 + 7)).collect();
    let other = batch.ask(claim(2), 8);
    (0..12).for_each(|_| go.send(()).expect("it listens"));
    assert_eq!((first.await, other.await), (Ok(Ok((7, 1))), Ok(Ok((8, 2)))));
    let answers = join_all(repeats).await;
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Ok(Err(_)))).count(), 3);
}
