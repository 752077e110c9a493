//! PostgreSQL dies and is started again.

use std::time::Instant;

use crate::drill::{Drill, Setup, rounds};

#[test]
fn postgresql_killed_at_any_point_loses_nothing_and_signs_nobody_out() {
    let mut drill = Drill::begin(Setup::of("PostgreSQL killed by SIGKILL, started again"));
    for _ in 0..rounds(100) {
        drill.round(|drill| {
            drill.postgres.kill();
            drill.postgres.start();
            Instant::now()
        });
    }
    drill.end();
}

#[test]
#[ignore = "make chaos"]
fn postgresql_restarted_without_a_shutdown_loses_nothing_and_signs_nobody_out() {
    let mut drill = Drill::begin(Setup::of("PostgreSQL stopped at once, started again"));
    for _ in 0..rounds(20) {
        drill.round(|drill| {
            drill.postgres.stop("immediate");
            drill.postgres.start();
            Instant::now()
        });
    }
    drill.end();
}
