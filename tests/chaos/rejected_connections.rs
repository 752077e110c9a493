//! PostgreSQL runs but refuses: no connections are left, writes are not allowed, or locks are held.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;

use crate::drill::{Drill, Setup, rounds};

const SOME_TIME: Duration = Duration::from_millis(500);
/// Longer than a statement waits for a lock.
const LONG: Duration = Duration::from_millis(4_500);

#[test]
fn exhausted_connections_are_reported_and_service_resumes() {
    let mut drill = Drill::begin(Setup::of("no connection left at PostgreSQL for 0.5 s"));
    for _ in 0..rounds(20) {
        drill.round(|drill| {
            drill.postgres.sql("ALTER ROLE doorward CONNECTION LIMIT 0");
            drill.proxy.cut_all();
            std::thread::sleep(SOME_TIME);
            drill.postgres.sql("ALTER ROLE doorward CONNECTION LIMIT -1");
            Instant::now()
        });
    }
    drill.end();
}

#[test]
#[ignore = "make chaos"]
fn read_only_postgresql_still_serves_reads() {
    let mut drill = Drill::begin(Setup::of("PostgreSQL read-only for 0.5 s"));
    for _ in 0..rounds(20) {
        drill.round(|drill| {
            let set = |value: &str| {
                drill.postgres.sql(&format!("ALTER SYSTEM SET default_transaction_read_only = {value}"));
                drill.postgres.sql("SELECT pg_reload_conf()");
            };
            set("on");
            std::thread::sleep(SOME_TIME);
            set("off");
            Instant::now()
        });
    }
    drill.end();
}

#[test]
#[ignore = "make chaos"]
fn held_table_locks_are_reported_in_time() {
    let mut drill = Drill::begin(Setup::of("locks held on every table for 4.5 s"));
    for _ in 0..rounds(4) {
        drill.round(|drill| {
            let mut owner = drill.postgres.connect();
            let tables =
                "sessions, users, roles, refresh_tokens, personal_tokens, signing_keys, notes, revocations";
            // PostgreSQL may abort this transaction instead of one of the nodes' transactions.
            while owner
                .batch_execute(&format!("BEGIN; LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE"))
                .is_err()
            {
                owner.batch_execute("ROLLBACK").unwrap();
            }
            std::thread::sleep(LONG);
            owner.batch_execute("ROLLBACK").unwrap();
            Instant::now()
        });
    }
    drill.end();
}
