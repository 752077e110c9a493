//! Models the pool's queue. Every request is answered or refused, the limits hold, and the threads end with
//! the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::future::block_on;
use shuttle::thread;

use crate::blocking::fair_queue::{Claim, Lane, LaneLimits, Party, QueueLimits};
use crate::blocking::pool::{BlockingError, BlockingPool};
use crate::planted::Fault;
use crate::{check, finds};

fn claim(lane: Lane, party: u64) -> Claim {
    Claim::new(lane, Party::of_hash(party))
}

/// Two threads, one of which each party may use. Three callers ask twice each, one request after the other.
fn all_are_answered() {
    let lane = |running| LaneLimits { running, running_per_party: 1, waiting: 9 };
    let limits =
        QueueLimits::new(2, 9).with_lane(Lane::Ordinary, lane(2)).with_lane(Lane::Expensive, lane(1));
    let pool = BlockingPool::new("model", limits);
    let expensive = Arc::new(AtomicUsize::new(0));
    let askers: Vec<_> = [(Lane::Ordinary, 1), (Lane::Expensive, 1), (Lane::Expensive, 2)]
        .into_iter()
        .map(|(lane, party)| {
            let (pool, expensive) = (pool.clone(), Arc::clone(&expensive));
            thread::spawn(move || {
                for number in 0..2 {
                    let expensive = Arc::clone(&expensive);
                    let answer = pool.ask(claim(lane, party), move || {
                        if lane == Lane::Expensive {
                            assert_eq!(expensive.fetch_add(1, Ordering::SeqCst), 0, "one runs at a time");
                            thread::yield_now();
                            expensive.fetch_sub(1, Ordering::SeqCst);
                        }
                        number
                    });
                    assert_eq!(block_on(answer), Ok(Ok(number)));
                }
            })
        })
        .collect();
    drop(pool);
    for asker in askers {
        asker.join().expect("it is answered");
    }
}

/// One thread and one place in the queue for four callers. Each is answered or refused, and all places are
/// free afterwards.
fn each_is_answered_or_refused() {
    let pool = BlockingPool::new("model", QueueLimits::new(1, 1));
    let askers: Vec<_> = [1, 1, 1, 2]
        .into_iter()
        .map(|party| {
            let pool = pool.clone();
            thread::spawn(move || match block_on(pool.ask(claim(Lane::Ordinary, party), || 7)) {
                Ok(Ok(7)) | Ok(Err(BlockingError::QueueFull(_))) => {}
                other => panic!("{other:?}"),
            })
        })
        .collect();
    for asker in askers {
        asker.join().expect("it is answered");
    }
    assert_eq!(pool.depth(), (0, 0), "a place is free before its answer is given");
}

#[test]
fn pool_answers_every_caller_within_its_limits() {
    check(all_are_answered);
}

#[test]
fn pool_notifies_refused_callers() {
    check(each_is_answered_or_refused);
}

#[test]
fn pool_model_finds_a_lost_wakeup() {
    finds(Fault::LostWakeup, all_are_answered);
}
