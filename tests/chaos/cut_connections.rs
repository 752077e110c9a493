//! A connection is cut just before a commit reaches PostgreSQL, or just after PostgreSQL has done it but
//! before the client learns of that.

use std::time::{Duration, Instant};

use crate::drill::{Drill, Setup, rounds};
use crate::proxy::Cut;

/// Words in the committed statements. They are a refresh, a note, an end of sessions, a sign-in, a change of
/// the password, and the creation and revocation of a personal token. The short run uses the first ones.
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
            let started = Instant::now();
            while !drill.proxy.has_sprung() && drill.ledger.books().broken.is_empty() {
                assert!(started.elapsed() < PATIENCE, "nobody commits {words}");
                std::thread::sleep(Duration::from_millis(2));
            }
            Instant::now()
        });
    }
    drill.end();
}

#[test]
fn commit_cut_before_arrival_happens_once_when_retried() {
    cut("a connection cut before the commit", Cut::Before);
}

#[test]
fn commit_with_lost_acknowledgement_happens_once_when_retried() {
    cut("a connection cut after the commit, before its acknowledgement", Cut::After);
}
