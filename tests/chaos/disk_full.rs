//! A PostgreSQL disk is full: that of its tables, or that of its write-ahead log.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use diesel::{RunQueryDsl, sql_query};

use crate::drill::{Drill, Setup, rounds};
use crate::postgres::Postgres;

const SOME_TIME: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// Fills the remaining space.
fn fill(ballast: &std::path::Path) {
    let mut file = File::create(ballast).unwrap();
    for size in [1 << 20, 1 << 12] {
        let piece = vec![0; size];
        while file.write_all(&piece).is_ok() {}
    }
}

#[test]
fn full_disk_is_reported_and_writes_resume_when_there_is_room() {
    let fault = "the disk of PostgreSQL's tables full for 1 s";
    let Some(postgres) = Postgres::on_small_disk(128) else {
        eprintln!("skipped: {fault}: no small disk can be mounted here (that needs root)");
        return;
    };
    let ballast = postgres.small_disk().join("ballast");
    let mut drill = Drill::on(postgres, Setup::of(fault));
    for _ in 0..rounds(10) {
        drill.round(|_| {
            fill(&ballast);
            std::thread::sleep(SOME_TIME);
            std::fs::remove_file(&ballast).unwrap();
            Instant::now()
        });
    }
    drill.end();
}

/// PostgreSQL stops at once if it cannot write its write-ahead log, and does not start until there is space.
#[test]
fn full_wal_disk_loses_nothing_when_postgresql_runs_again() {
    let fault = "the disk of PostgreSQL's WAL full, started again when there is room";
    let Some(postgres) = Postgres::writing_ahead_to_small_disk(32) else {
        eprintln!("skipped: {fault}: no small disk can be mounted here (that needs root)");
        return;
    };
    let ballast = postgres.small_disk().join("ballast");
    let mut drill = Drill::on(postgres, Setup::of(fault));
    for _ in 0..rounds(10) {
        drill.round(|drill| {
            let postgres = &drill.postgres;
            let mut connection = postgres.connect();
            fill(&ballast);
            // Switch to a segment that has no space. The rest of the current one would last for a while.
            while sql_query("SELECT pg_switch_wal(), txid_current()").execute(&mut connection).is_ok() {}
            while postgres.answers() {
                std::thread::sleep(PAUSE);
            }
            std::fs::remove_file(&ballast).unwrap();
            while !postgres.answers() {
                // PostgreSQL ends if it finds no space, or it finds some now.
                if postgres.pid().is_none() {
                    postgres.start();
                }
                std::thread::sleep(PAUSE);
            }
            Instant::now()
        });
    }
    let log = drill.postgres.log();
    assert!(log.contains("PANIC:  could not write to file \"pg_wal/"), "{log}");
    drill.end();
}
