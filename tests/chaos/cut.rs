//! A connection cut right before a commit reaches PostgreSQL, and right after it was done and before anybody heard of that.

use std::time::{Duration, Instant};

use crate::drill::{Drill, Setup, rounds};
use crate::proxy::Cut;

/// Words of what is committed: a refresh, a note, an end of sessions, a sign-in, a change of the password, a personal token
/// made and revoked. The short part has the first ones.
const COMMITS: [&str; 7] = [
    "turn AS (",
    "INSERT INTO \"notes\"",
    "UPDATE \"refresh_tokens\" SET \"ended_at\"",
    "signing_in AS (",
    "SET \"password_hash\"",
    "INSERT INTO \"personal_tokens\"",
    "UPDATE \"personal_tokens\"",
];
const PATIENCE: Duration = Duration::from_secs(30);

fn cut(fault: &'static str, cut: Cut) {
    let mut drill = Drill::begin(Setup::of(fault));
    for number in 0..rounds(100).max(4) {
        drill.round(|drill| {
            let words = COMMITS[number % COMMITS.len()];
            drill.proxy.trap(cut, words);
            let begun = Instant::now();
            while !drill.proxy.has_sprung() && drill.ledger.books().broken.is_empty() {
                assert!(begun.elapsed() < PATIENCE, "nobody commits {words}");
                std::thread::sleep(Duration::from_millis(2));
            }
            Instant::now()
        });
    }
    drill.end();
}

#[test]
fn a_commit_that_never_arrives_is_asked_for_again_and_happens_once() {
    cut("a connection cut before the commit", Cut::Before);
}

#[test]
fn a_commit_whose_acknowledgement_is_lost_is_asked_for_again_and_happened_once() {
    cut("a connection cut after the commit, before its acknowledgement", Cut::After);
}
