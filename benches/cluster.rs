//! The drill of `make cluster`, which `benches/cluster` runs. Several nodes share one PostgreSQL behind a
//! balancer, with load through it. Measures how long the other nodes still accept what one node has ended,
//! undisturbed and while parts of the cluster are killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]
#![allow(missing_docs)]

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doorward_test::client::Client;
use lag::{Distribution, PROMISED, Round};
use ledger::{CLIENTS, Counts, FROM_BALANCER, Ledger, UNAVAILABLE};
use nodes::{Nodes, Setup};
use serde_json::{Value, json};

#[path = "driver/lag.rs"]
mod lag;
#[path = "driver/ledger.rs"]
mod ledger;
#[path = "driver/nodes.rs"]
mod nodes;

/// The limit of the lag of half of all sign-outs, if notifications arrive. The worst may be [`PROMISED`].
const MEDIAN: Duration = Duration::from_millis(20);
/// The limit of the lag of 99 of 100 sign-outs, if notifications arrive.
const NEARLY_ALL: Duration = Duration::from_millis(200);
/// The time after PostgreSQL's return within which everything is served again.
const RECOVERY: Duration = Duration::from_secs(3);
/// The number of faults in a phase with faults: restarts of PostgreSQL, or kills of a node.
const FAULTS: usize = 6;
const FAULT_EVERY: Duration = Duration::from_secs(4);
const FEEDS_EVERY: Duration = Duration::from_secs(1);
/// The maximum length of a phase.
const PHASE_AT_MOST: Duration = Duration::from_secs(60);
/// The maximum length of the whole drill.
const ALL_AT_MOST: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Feeds,
    Postgres,
    Node,
}

const PHASES: [(Fault, &str, &[&str]); 4] = [
    (Fault::None, "nothing else happens", &[]),
    (Fault::Feeds, "the feeds' connections are killed every second", &[]),
    (Fault::Postgres, "PostgreSQL is restarted without a shutdown", &UNAVAILABLE),
    (Fault::Node, "a node is killed by SIGKILL and started again", &FROM_BALANCER),
];

fn main() {
    std::thread::spawn(|| {
        std::thread::sleep(ALL_AT_MOST);
        println!("not done after {ALL_AT_MOST:?}");
        std::process::exit(1);
    });
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let password = std::env::var("DOORWARD_ADMIN_PASSWORD").expect("DOORWARD_ADMIN_PASSWORD");
    let credentials = json!({ "username": "admin", "password": password });
    let drill = Drill {
        nodes: Nodes::start(Setup::read()),
        ledger: Ledger::default(),
        credentials,
        rounds,
        is_pooled: std::env::var("POOLER").is_ok_and(|text| text != "0"),
        broken: Vec::new(),
        table: String::new(),
    };
    let broken = actix_web::rt::System::new().block_on(drill.run());
    for promise in &broken {
        println!("BROKEN: {promise}");
    }
    std::process::exit(i32::from(!broken.is_empty()));
}

struct Drill {
    nodes: Nodes,
    ledger: Ledger,
    credentials: Value,
    rounds: usize,
    /// True if a pooler loses notifications, so that the feeds read ten times a second.
    is_pooled: bool,
    broken: Vec<String>,
    table: String,
}

/// The faults of a phase, and their times.
#[derive(Clone, Default)]
struct Faults {
    /// The time at which each fault started. For restarts of PostgreSQL, also the time at which it answered
    /// again.
    done: Arc<Mutex<Vec<(Instant, Instant)>>>,
    started: usize,
    last: Option<Instant>,
}

impl Faults {
    /// Returns the number of the next fault if it is due. The first one is due after the interval.
    fn due(&mut self, every: Duration) -> Option<usize> {
        let last = *self.last.get_or_insert_with(Instant::now);
        (last.elapsed() >= every).then(|| {
            self.started += 1;
            self.last = Some(Instant::now());
            self.started
        })
    }

    fn begin(&self, fault: impl FnOnce() -> Instant + Send + 'static) {
        let done = Arc::clone(&self.done);
        std::thread::spawn(move || {
            let began = Instant::now();
            let over = fault();
            done.lock().unwrap().push((began, over));
        });
    }

    fn done(&self) -> Vec<(Instant, Instant)> {
        self.done.lock().unwrap().clone()
    }
}

impl Drill {
    async fn run(mut self) -> Vec<String> {
        let addresses = self.nodes.setup.addresses.clone();
        let expected = if self.is_pooled { "polled" } else { "live" };
        for address in &addresses {
            let feed = self.nodes.until_ready(address).await;
            println!("a node at {address}, its feed {feed}");
            if feed != expected {
                self.broken.push(format!("the feed of {address} is {feed}, not {expected}"));
            }
        }
        let balancer = self.nodes.setup.balancer.clone();
        println!("the balancer at {balancer}, the feed {}", self.nodes.until_ready(&balancer).await);
        let load = self.start_load(balancer);
        for (fault, name, allowed) in PHASES {
            if let Err(wrong) = self.phase((fault, name, allowed)).await {
                self.broken.push(format!("{name}: {wrong}"));
            }
        }
        self.ledger.stop();
        self.broken.extend(load.join().expect("the load"));
        self.nodes.stop();
        self.write_table();
        self.broken
    }

    /// Starts the load on a separate thread, so that the measurement does not wait for it.
    fn start_load(&self, balancer: String) -> std::thread::JoinHandle<Vec<String>> {
        let (ledger, credentials) = (self.ledger.clone(), self.credentials.clone());
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let client = |_| {
                    actix_web::rt::spawn(ledger::run(ledger.clone(), balancer.clone(), credentials.clone()))
                };
                let clients: Vec<_> = (0..CLIENTS).map(client).collect();
                let mut signed_out = Vec::new();
                for client in clients {
                    if let Err(refusal) = client.await.expect("a client") {
                        signed_out.push(format!("a client of the load was refused: {refusal}"));
                    }
                }
                signed_out
            })
        })
    }

    async fn phase(&mut self, phase: (Fault, &'static str, &[&str])) -> Result<(), String> {
        let (fault, name, _) = phase;
        println!("\n{name}");
        self.ledger.take();
        let mut clients: Vec<Client> = self.nodes.setup.addresses.iter().map(|at| Client::new(at)).collect();
        let (mut faults, mut rounds, started) = (Faults::default(), Vec::new(), Instant::now());
        let wanted = if fault == Fault::None { 0 } else { FAULTS };
        while (rounds.len() < self.rounds || faults.started < wanted) && started.elapsed() < PHASE_AT_MOST {
            rounds.push(self.round(fault, &mut faults, &mut clients, rounds.len()).await?);
        }
        let over = Instant::now();
        while faults.done().len() < faults.started {
            if over.elapsed() > PHASE_AT_MOST {
                return Err("a fault is not over".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for address in &self.nodes.setup.addresses {
            self.nodes.until_ready(address).await;
        }
        // A late failure still counts in this phase.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let counts = self.ledger.take();
        self.judge(phase, &rounds, &counts, &faults);
        Ok(())
    }

    /// Runs a round. The nodes take turns as A, B and C. A fault happens just before the sign-out is sent, or
    /// just after it was answered.
    async fn round(
        &self,
        fault: Fault,
        faults: &mut Faults,
        clients: &mut [Client],
        number: usize,
    ) -> Result<Round, String> {
        let (at_a, at_c) = (number % clients.len(), (number + 2) % clients.len());
        let due = match fault {
            Fault::None => None,
            Fault::Feeds => faults.due(FEEDS_EVERY),
            Fault::Postgres | Fault::Node => faults.due(FAULT_EVERY),
        };
        let (is_early, victim) = match due.map(|due| due % 3) {
            Some(0) => (true, at_a),
            Some(1) => (false, at_a),
            _ => (false, at_c),
        };
        let faults: &Faults = faults;
        let harm = |early: bool| {
            if due.is_some() && early == is_early {
                self.harm(fault, victim, faults);
            }
        };
        clients.rotate_left(at_a);
        let round = match clients {
            [a, b, c, ..] => lag::round([a, b, c], &self.credentials, || harm(true), || harm(false)).await,
            _ => panic!("three nodes are needed"),
        };
        clients.rotate_right(at_a);
        round
    }

    fn harm(&self, fault: Fault, victim: usize, faults: &Faults) {
        let nodes = self.nodes.clone();
        match fault {
            Fault::None => {}
            Fault::Feeds => faults.begin(move || {
                nodes::kill_feeds(&nodes.setup.postgres);
                Instant::now()
            }),
            Fault::Postgres => faults.begin(move || nodes::restart_postgres(&nodes.setup)),
            Fault::Node => faults.begin(move || nodes.kill_for_a_while(victim)),
        }
    }

    /// Reports the results of a phase, and records the promises that it broke.
    fn judge(
        &mut self,
        (fault, name, allowed): (Fault, &'static str, &[&str]),
        rounds: &[Round],
        counts: &Counts,
        faults: &Faults,
    ) {
        self.judge_lags(name, rounds, faults.started);
        self.judge_ledger((fault, name, allowed), rounds, counts, faults.started);
        if fault == Fault::Postgres {
            let (load, right) = (recovery(counts, &faults.done()), until_right(rounds, &faults.done()));
            let (load_ms, right_ms) = (milliseconds(load), milliseconds(right));
            println!("  after PostgreSQL answered again: the load's last failure began {load_ms} ms later,");
            println!("    and the sign-outs had their right answer {right_ms} ms later at most");
            self.demand(load <= RECOVERY, name, format!("the load was served only {load_ms} ms later"));
            self.demand(right <= RECOVERY, name, format!("401 came only {right_ms} ms later"));
        }
    }

    fn demand(&mut self, kept: bool, phase: &str, promise: String) {
        if !kept {
            self.broken.push(format!("{phase}: {promise}"));
        }
    }

    fn judge_lags(&mut self, name: &str, rounds: &[Round], faults: usize) {
        let looks = || rounds.iter().flat_map(|round| &round.watched);
        let lags = Distribution::new(looks().map(|look| look.lag).collect());
        let [median, p95, p99, worst] = [lags.at(0.5), lags.at(0.95), lags.at(0.99), lags.worst()];
        let late: u64 = looks().map(|look| look.late).sum();
        let figures = [median, p95, p99, worst].map(milliseconds);
        let [median_ms, p95_ms, p99_ms, worst_ms] = &figures;
        println!("  {} sign-outs, each asked for on the two other nodes; faults: {faults}", rounds.len());
        println!("  lag: p50 {median_ms}, p95 {p95_ms}, p99 {p99_ms}, worst {worst_ms} ms");
        print!("{}", lags.histogram());
        println!("  p50 on each node: {}", on_each_node(rounds, self.nodes.setup.addresses.len()).join(", "));
        println!("  requests accepted that began more than 1 s after the sign-out was answered: {late}");
        let _ =
            write!(self.table, "| {name} | {} | {faults} | {} | {late} |", rounds.len(), figures.join(" / "));
        let (middle, most) = if self.is_pooled { (PROMISED, PROMISED) } else { (MEDIAN, NEARLY_ALL) };
        self.demand(!rounds.is_empty(), name, "there was no round".to_owned());
        self.demand(median <= middle, name, format!("the median of the lag is {median_ms} ms"));
        self.demand(p99 <= most, name, format!("99 of 100 lags are within {p99_ms} ms"));
        self.demand(worst <= PROMISED, name, format!("the worst lag is {worst_ms} ms"));
        self.demand(late == 0, name, format!("{late} requests were accepted after 1 s"));
    }

    fn judge_ledger(
        &mut self,
        (fault, name, allowed): (Fault, &str, &[&str]),
        rounds: &[Round],
        counts: &Counts,
        faults: usize,
    ) {
        let listed: Vec<String> =
            counts.answers.iter().map(|(name, count)| format!("{count} x {name}")).collect();
        println!("  the load through the balancer: {}", listed.join(", "));
        let _ = writeln!(self.table, " {} |", listed.join(", "));
        self.demand(counts.answers.contains_key("200"), name, "there was no load".to_owned());
        for (answer, count) in &counts.answers {
            // Behind a pooler, killing a feed's connection also hits other connections.
            let by_pooler = self.is_pooled && UNAVAILABLE.contains(&answer.as_str());
            let is_promised = answer == "200" || allowed.contains(&answer.as_str()) || by_pooler;
            self.demand(is_promised, name, format!("{count} answers were {answer}"));
        }
        let failed: Vec<&String> =
            rounds.iter().flat_map(|round| &round.watched).flat_map(|look| &look.failures).collect();
        let is_quiet = fault == Fault::None || (fault == Fault::Feeds && !self.is_pooled);
        self.demand(
            !is_quiet || failed.is_empty(),
            name,
            format!("a node asked directly answered {failed:?}"),
        );
        // Requests that ran on the killed node may be lost. A retry may meet its port before the balancer
        // notices.
        let lost: u64 = FROM_BALANCER.iter().filter_map(|name| counts.answers.get(*name)).sum();
        let most = (2 * CLIENTS * faults) as u64;
        self.demand(lost <= most, name, format!("{lost} answers were lost with {faults} nodes"));
    }

    fn write_table(&self) {
        let head = "| meanwhile | sign-outs | faults | lag p50 / p95 / p99 / worst, ms | accepted after 1 s | answers through \
                    the balancer |\n| --- | --- | --- | --- | --- | --- |\n";
        let path = self.nodes.setup.folder.join("table");
        std::fs::write(path, format!("{head}{}", self.table)).expect("a file");
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1_000.0)
}

/// Returns the median lag on each node. In each round B is the node after A, and C the one after B.
fn on_each_node(rounds: &[Round], nodes: usize) -> Vec<String> {
    let is_on = |number: usize, look: usize, node: usize| (number + 1 + look) % nodes == node;
    let lags = |node: usize| {
        let looks = rounds.iter().enumerate().flat_map(|(number, round)| {
            round.watched.iter().enumerate().map(move |(look, watched)| (number, look, watched.lag))
        });
        looks.filter(|(number, look, _)| is_on(*number, *look, node)).map(|(.., lag)| lag).collect()
    };
    (0..nodes).map(|node| milliseconds(Distribution::new(lags(node)).at(0.5))).collect()
}

/// Returns the time from PostgreSQL's return to the start of the last failed request of the load.
fn recovery(counts: &Counts, restarts: &[(Instant, Instant)]) -> Duration {
    let after = |at: &Instant| {
        let back = restarts.iter().filter(|(began, _)| began <= at).map(|(_, back)| *back).max()?;
        Some(at.saturating_duration_since(back))
    };
    counts.failures.iter().filter_map(after).max().unwrap_or_default()
}

/// Returns the time from the sign-out and PostgreSQL's return to the request that got the right response.
fn until_right(rounds: &[Round], restarts: &[(Instant, Instant)]) -> Duration {
    let wait = |ended_at: Instant, right_at: Instant| {
        let back = restarts.iter().filter(|(began, _)| *began <= right_at).map(|(_, back)| *back).max();
        right_at.saturating_duration_since(back.map_or(ended_at, |back| back.max(ended_at)))
    };
    let looks =
        rounds.iter().flat_map(|round| round.watched.iter().map(|look| wait(round.ended_at, look.right_at)));
    looks.max().unwrap_or_default()
}
