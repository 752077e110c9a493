//! Our own processes are killed, and told to stop.

use std::time::{Duration, Instant};

use crate::drill::{Drill, Setup, rounds};

/// From its start to its first answer, on a machine that has other work.
const START: Duration = Duration::from_secs(10);

#[test]
fn a_node_killed_at_any_point_loses_nothing_and_signs_nobody_out() {
    let mut drill = Drill::begin(Setup::of("a node killed by SIGKILL, started again"));
    drill.ledger.allow_hang_ups();
    drill.limit(START);
    for number in 0..rounds(100) {
        drill.round(|drill| {
            let victim = number % drill.nodes.len();
            drill.nodes[victim].kill();
            let begun = Instant::now();
            drill.nodes[victim].start();
            drill.nodes[victim].wait_until_ready();
            begun
        });
    }
    drill.end();
}
