//! PostgreSQL dies and is started again.

use std::time::Instant;

use crate::drill::{Drill, Setup, rounds};

#[test]
fn killed_postgresql_loses_nothing_and_signs_no_one_out() {
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
fn immediate_restart_of_postgresql_loses_nothing() {
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
