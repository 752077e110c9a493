//! PostgreSQL runs but cannot be reached: it is paused, unreachable or slow, or its connections are cut.

use std::time::{Duration, Instant};

use crate::drill::{Drill, Setup, rounds};
use crate::proxy::Behaviour;

/// Longer than any of doorward's deadlines.
const LONG: Duration = Duration::from_millis(5_500);

/// Drills a way of being unavailable for this long.
fn away(setup: Setup, count: usize, way: Behaviour, time: Duration) {
    let mut drill = Drill::begin(setup);
    for _ in 0..rounds(count) {
        drill.round(|drill| {
            drill.proxy.set(way);
            std::thread::sleep(time);
            drill.proxy.set(Behaviour::Pass);
            Instant::now()
        });
    }
    drill.end();
}

#[test]
fn paused_postgresql_is_reported_and_recovered_from_in_time() {
    let mut drill = Drill::begin(Setup::of("PostgreSQL paused for 5.5 s (SIGSTOP)"));
    for _ in 0..rounds(4) {
        drill.round(|drill| {
            drill.postgres.pause();
            std::thread::sleep(LONG);
            drill.postgres.resume();
            Instant::now()
        });
    }
    drill.end();
}

#[test]
#[ignore = "make chaos"]
fn refused_connections_are_reported_and_recovered_from_in_time() {
    away(Setup::of("connections refused for 0.3 s"), 50, Behaviour::Refuse, Duration::from_millis(300));
}

#[test]
#[ignore = "make chaos"]
fn network_black_hole_is_reported_and_recovered_from_in_time() {
    away(Setup::of("a network that swallows everything for 5.5 s"), 4, Behaviour::Hold, LONG);
}

#[test]
#[ignore = "make chaos"]
fn slow_postgresql_costs_only_time() {
    let slow = Behaviour::Delay(Duration::from_millis(40));
    away(
        Setup { is_mild: true, ..Setup::of("40 ms later each way, for 3 s") },
        4,
        slow,
        Duration::from_secs(3),
    );
}

#[test]
#[ignore = "make chaos"]
fn too_slow_postgresql_is_reported_in_time() {
    let slow = Behaviour::Delay(Duration::from_millis(900));
    away(Setup::of("900 ms later each way, for 5.5 s"), 4, slow, LONG);
}

#[test]
#[ignore = "make chaos"]
fn cut_connections_cost_only_responses_in_flight() {
    let mut drill = Drill::begin(Setup::of("every connection to PostgreSQL cut"));
    for _ in 0..rounds(100) {
        drill.round(|drill| {
            drill.proxy.cut_all();
            Instant::now()
        });
    }
    drill.end();
}
