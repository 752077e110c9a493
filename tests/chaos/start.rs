//! PostgreSQL is not available when a node starts, or refuses what the start needs, or does not answer when a
//! node stops.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use doorward_test::machine::folder;
use nix::sys::signal::Signal;

use crate::drill::{RECOVERY, rounds};
use crate::node::{Node, ask};
use crate::postgres::Postgres;
use crate::proxy::{Behaviour, Cut, Proxy};
use crate::report::{Row, seconds};

const PATIENCE: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(10);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
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
fn node_waits_for_an_absent_postgresql_and_can_be_stopped() {
    let postgres = Postgres::with(&[]);
    let proxy = Proxy::before(postgres.port);
    let folder = folder();
    let ways = [Behaviour::Refuse, Behaviour::Hold];
    let mut recoveries = Vec::new();
    for number in 0..rounds(4).max(ways.len()) {
        let mut node = Node::new(folder.path(), &Postgres::url_at(proxy.port), &[]);
        proxy.set(ways[number % ways.len()]);
        node.start();
        is_alive_and_waits(&node);
        // One of the nodes is asked to stop meanwhile, and another one waits instead.
        node.signal(Signal::SIGTERM);
        let started = Instant::now();
        assert!(node.wait().success(), "{}", node.said());
        assert!(started.elapsed() < STOP, "{:?}", started.elapsed());
        node.start();
        is_alive_and_waits(&node);
        proxy.set(Behaviour::Pass);
        let back = Instant::now();
        node.wait_until_ready();
        recoveries.push(back.elapsed());
    }
    let worst = recoveries.iter().max().unwrap();
    Row::new("PostgreSQL not there at a node's start").recoveries(&recoveries).write();
    assert!(*worst <= RECOVERY, "ready only after {} s", seconds(*worst));
}

#[test]
fn node_waits_for_a_read_only_postgresql() {
    let postgres = Postgres::with(&[]);
    let folder = folder();
    let mut node = Node::new(folder.path(), &Postgres::url_at(postgres.port), &[]);
    let set = |value: &str| {
        postgres.sql(&format!("ALTER SYSTEM SET default_transaction_read_only = {value}"));
        postgres.sql("SELECT pg_reload_conf()");
        postgres
            .wait_for("SELECT '' AS one, current_setting('default_transaction_read_only') AS other", value);
    };
    let mut recoveries = Vec::new();
    // At first no migration has run, and later all have.
    for _ in 0..rounds(4).max(2) {
        set("on");
        node.start();
        is_alive_and_waits(&node);
        set("off");
        let back = Instant::now();
        node.wait_until_ready();
        recoveries.push(back.elapsed());
        node.signal(Signal::SIGTERM);
        assert!(node.wait().success(), "{}", node.said());
    }
    let worst = recoveries.iter().max().unwrap();
    Row::new("PostgreSQL read-only at a node's start").recoveries(&recoveries).write();
    assert!(*worst <= RECOVERY, "ready only after {} s", seconds(*worst));
}

#[test]
fn node_waits_for_a_lock_that_blocks_its_migrations() {
    let postgres = Postgres::with(&[]);
    let folder = folder();
    let mut node = Node::new(folder.path(), &Postgres::url_at(postgres.port), &[]);
    let mut owner = postgres.connect();
    owner.batch_execute("BEGIN; CREATE TABLE users ()").unwrap();
    node.start();
    until("it gives the migration up", || postgres.log().contains("canceling statement due to lock timeout"));
    is_alive_and_waits(&node);
    owner.batch_execute("ROLLBACK").unwrap();
    let free = Instant::now();
    node.wait_until_ready();
    assert!(free.elapsed() <= RECOVERY, "ready only after {} s", seconds(free.elapsed()));
}

#[test]
fn node_stops_in_time_when_postgresql_does_not_answer() {
    let postgres = Postgres::with(&[]);
    let folder = folder();
    let mut node = Node::new(folder.path(), &Postgres::url_at(postgres.port), &[]);
    node.start();
    node.wait_until_ready();
    postgres.pause();
    let address = node.address.clone();
    std::thread::scope(|scope| {
        // There are refusals to write, which only the token determines, and running requests that need the
        // database.
        for path in ["/api/v1/me", "/readyz"] {
            let address = &address;
            scope.spawn(move || while ask(address, path).is_some() {});
        }
        node.signal(Signal::SIGTERM);
        let started = Instant::now();
        assert!(node.wait().success(), "{}", node.said());
        assert!(started.elapsed() < STOP, "{:?}", started.elapsed());
    });
    assert!(node.said().contains("are lost"), "{}", node.said());
}

#[test]
fn node_restarts_migrations_after_its_connection_is_cut() {
    let postgres = Postgres::with(&[]);
    let proxy = Proxy::before(postgres.port);
    let folder = folder();
    let mut node = Node::new(folder.path(), &Postgres::url_at(proxy.port), &[]);
    proxy.trap(Cut::Before, "CREATE TABLE users");
    node.start();
    until("the first commit is cut", || proxy.has_sprung());
    proxy.trap(Cut::After, "CREATE TABLE notes");
    until("another is cut after it", || proxy.has_sprung());
    node.wait_until_ready();
}
