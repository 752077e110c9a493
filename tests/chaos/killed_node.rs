//! doorward's own processes are killed, or asked to stop.

use std::time::{Duration, Instant};

use doorward_test::PASSWORD;
use doorward_test::wire::Connection;
use futures_util::future::join_all;
use nix::sys::signal::Signal;

use crate::drill::{Drill, Setup, rounds};
use crate::load::{Mix, on_a_runtime};
use crate::proxy::Behaviour;

/// The time from a node's start to its first response, on a busy machine.
const START: Duration = Duration::from_secs(10);
/// The time from SIGTERM to the end of the process.
const STOP: Duration = Duration::from_secs(10);

#[test]
fn killed_node_loses_nothing_and_signs_no_one_out() {
    let mut drill = Drill::begin(Setup::of("a node killed by SIGKILL, started again"));
    drill.ledger.allow_hang_ups();
    drill.limit(START);
    for number in 0..rounds(100) {
        drill.round(|drill| {
            let victim = number % drill.nodes.len();
            drill.nodes[victim].kill();
            let started = Instant::now();
            drill.nodes[victim].start();
            drill.nodes[victim].wait_until_ready();
            started
        });
    }
    drill.end();
}

/// Signs in on a new connection, which needs several statements.
async fn sign_in(address: &str) -> u16 {
    let body = format!("{{\"username\":\"admin\",\"password\":\"{PASSWORD}\"}}");
    let mut connection = Connection::open(address).await.expect("it serves");
    let answer = connection.ask("POST", "/api/v1/auth/login", "", &body).await;
    answer.map_or(0, |answer| answer.status)
}

/// Stops the last of two nodes, and starts it again.
fn stop_and_start(drill: &mut Drill) -> Instant {
    // Requests take a while.
    drill.proxy.set(Behaviour::Delay(Duration::from_millis(100)));
    let node = &mut drill.nodes[1];
    let address = node.address.clone();
    node.signal(Signal::SIGTERM);
    let started = Instant::now();
    while node.readiness().0 != 503 {
        assert!(started.elapsed() < Duration::from_secs(2), "it is still ready");
        std::thread::sleep(Duration::from_millis(5));
    }
    // These requests are still running when the server closes its socket. They are served one after the
    // other, so the last may miss its deadline and get a 503.
    let answers = on_a_runtime(join_all((0..3).map(|_| sign_in(&address))));
    assert!(answers.iter().all(|status| [200, 503].contains(status)), "{answers:?}");
    assert!(started.elapsed() > Duration::from_secs(2), "they were in flight");
    let status = node.wait();
    assert!(status.success(), "{status}: {}", node.said());
    assert!(started.elapsed() < STOP, "{:?}", started.elapsed());
    drill.proxy.set(Behaviour::Pass);
    let started = Instant::now();
    drill.nodes[1].start();
    drill.nodes[1].wait_until_ready();
    started
}

#[test]
fn node_stopped_by_sigterm_finishes_its_requests_in_time() {
    let mix = Mix { pairs: 0, ..Mix::default() };
    let mut drill = Drill::begin(Setup { mix, ..Setup::of("a node stopped by SIGTERM, started again") });
    drill.ledger.allow_hang_ups();
    drill.limit(START);
    for _ in 0..rounds(6) {
        drill.round(stop_and_start);
    }
    drill.end();
}
