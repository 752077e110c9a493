//! Models the batch. Every caller gets their own answer, even if they ask while a call ends, and no more
//! calls run than allowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::future::block_on;
use shuttle::thread;

use crate::blocking::batch::{Batch, BatchRequest};
use crate::blocking::fair_queue::{Claim, Lane, Party, QueueLimits};
use crate::blocking::pool::BlockingPool;
use crate::planted::Fault;
use crate::{check, finds};

impl BatchRequest for u64 {
    fn can_join(&self, other: &u64) -> bool {
        self != other
    }
}

fn all_get_their_own() {
    let pool = BlockingPool::new("model", QueueLimits::new(2, 9));
    let under_way = Arc::new(AtomicUsize::new(0));
    let batch = Arc::new(Batch::new(&pool, 1, move |asked: &[u64]| {
        assert_eq!(under_way.fetch_add(1, Ordering::SeqCst), 0, "one call at a time");
        thread::yield_now();
        under_way.fetch_sub(1, Ordering::SeqCst);
        asked.iter().map(|number| number * 10).collect()
    }));
    let askers: Vec<_> = [1, 2, 1]
        .into_iter()
        .map(|number: u64| {
            let batch = Arc::clone(&batch);
            thread::spawn(move || {
                let claim = Claim::new(Lane::Ordinary, Party::of_hash(number));
                for _ in 0..2 {
                    assert_eq!(block_on(batch.ask(claim, number)), Ok(Ok(number * 10)));
                }
            })
        })
        .collect();
    for asker in askers {
        asker.join().expect("it is answered");
    }
}

#[test]
fn batch_answers_every_caller_with_their_own_result() {
    check(all_get_their_own);
}

#[test]
fn batch_model_finds_a_call_that_ends_in_two_steps() {
    finds(Fault::EndsBetween, all_get_their_own);
}
