//! PostgreSQL is not there yet when a node starts.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::drill::{RECOVERY, rounds};
use crate::node::{Node, ask};
use crate::postgres::{self, Postgres};
use crate::proxy::{Proxy, Way};
use crate::report::{Row, seconds};

const PATIENCE: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(10);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_alive_and_waits(node: &Node) {
    until("it lives", || ask(&node.address, "/healthz").is_some_and(|(status, _)| status == 200));
    assert_eq!(node.readiness().0, 503);
    let (status, body) = ask(&node.address, "/api/v1/me").unwrap();
    assert!(status == 503 && body.contains("database_unavailable"), "{status} {body}");
}

#[test]
fn a_node_waits_for_a_postgresql_that_is_not_there_yet_and_ends_when_it_is_told_to() {
    let postgres = Postgres::with(&[]);
    let proxy = Proxy::before(postgres.port);
    let folder = postgres::folder();
    let ways = [Way::Refuse, Way::Hold];
    let mut recoveries = Vec::new();
    for number in 0..rounds(4).max(ways.len()) {
        let mut node = Node::new(folder.path(), &Postgres::url_at(proxy.port), &[]);
        proxy.set(ways[number % ways.len()]);
        node.start();
        is_alive_and_waits(&node);
        // One of them is told to stop meanwhile, and another waits in its place.
        node.signal(Signal::SIGTERM);
        let begun = Instant::now();
        assert!(node.wait().success(), "{}", node.said());
        assert!(begun.elapsed() < STOP, "{:?}", begun.elapsed());
        node.start();
        is_alive_and_waits(&node);
        proxy.set(Way::Pass);
        let back = Instant::now();
        node.wait_until_ready();
        recoveries.push(back.elapsed());
    }
    let worst = recoveries.iter().max().unwrap();
    Row::new("PostgreSQL not there at a node's start").recoveries(&recoveries).write();
    assert!(*worst <= RECOVERY, "ready only after {} s", seconds(*worst));
}
