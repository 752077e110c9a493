//! The disk of PostgreSQL's tables is full.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::drill::{Drill, Setup, rounds};
use crate::postgres::Postgres;

const SOME_TIME: Duration = Duration::from_secs(1);

/// Takes what room is left.
fn fill(ballast: &std::path::Path) {
    let mut file = File::create(ballast).unwrap();
    for size in [1 << 20, 1 << 12] {
        let piece = vec![0; size];
        while file.write_all(&piece).is_ok() {}
    }
}

#[test]
fn a_full_disk_is_told_and_written_again_as_soon_as_there_is_room() {
    let fault = "the disk of PostgreSQL's tables full for 1 s";
    let Some(postgres) = Postgres::on_small_disk(128) else {
        eprintln!("skipped: {fault}: no small disk can be mounted here (that needs root)");
        return;
    };
    let ballast = postgres.data().parent().unwrap().join("ballast");
    let mut drill = Drill::on(postgres, Setup::of(fault));
    for _ in 0..rounds(20) {
        drill.round(|_| {
            fill(&ballast);
            std::thread::sleep(SOME_TIME);
            std::fs::remove_file(&ballast).unwrap();
            Instant::now()
        });
    }
    drill.end();
}
