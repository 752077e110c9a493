//! A drill: a cluster, nodes on it behind the proxy, a load, and rounds in which a fault falls and goes. At its end the
//! ledger decides, and a row of the table is written.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::ledger::{Ledger, Promise};
use crate::load::{Load, Mix, look_it_all_up};
use crate::node::Node;
use crate::postgres::{self, Postgres};
use crate::proxy::Proxy;

/// Service is back this soon after what was away.
pub const RECOVERY: Duration = Duration::from_secs(3);
/// Answers in a row of each client, after which all is well again.
const CALM: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// How many rounds there are of a fault of which `make chaos` has this many: in the short part a few of each hundred.
pub fn rounds(of: usize) -> usize {
    let hundred = std::env::var("DOORWARD_CHAOS_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    (of * hundred).div_ceil(100)
}

/// What a drill is made with.
pub struct Setup {
    /// What its row of the table says.
    pub fault: &'static str,
    pub nodes: usize,
    pub mix: Mix,
    /// Further settings of PostgreSQL, as `name=value`.
    pub postgres: &'static [&'static str],
    /// Further settings of the nodes.
    pub environment: Vec<(&'static str, String)>,
}

impl Setup {
    pub fn of(fault: &'static str) -> Self {
        Self { fault, nodes: 2, mix: Mix::default(), postgres: &[], environment: Vec::new() }
    }
}

/// A drill under way; everything goes with it, the nodes first.
pub struct Drill {
    fault: &'static str,
    load: Option<Load>,
    pub nodes: Vec<Node>,
    pub proxy: Proxy,
    pub postgres: Postgres,
    _folder: tempfile::TempDir,
    pub ledger: Ledger,
    recoveries: Vec<Duration>,
    /// From when something was back until it was served again; for what has no such moment, nothing.
    limit: Option<Duration>,
}

impl Drill {
    pub fn begin(setup: Setup) -> Self {
        let postgres = Postgres::with(setup.postgres);
        Self::on(postgres, setup)
    }

    /// On a cluster of the caller's.
    pub fn on(postgres: Postgres, setup: Setup) -> Self {
        let folder = postgres::folder();
        let proxy = Proxy::before(postgres.port);
        let url = Postgres::url_at(proxy.port);
        let environment: Vec<(&str, &str)> =
            setup.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let new = |_| Node::new(folder.path(), &url, &environment);
        let mut nodes: Vec<Node> = (0..setup.nodes).map(new).collect();
        for node in &mut nodes {
            node.start();
            node.wait_until_ready();
        }
        let ledger = Ledger::default();
        let addresses: Vec<String> = nodes.iter().map(|node| node.address.clone()).collect();
        let load = Some(Load::start(&ledger, &addresses, setup.mix));
        let drill = Self {
            fault: setup.fault,
            load,
            nodes,
            proxy,
            postgres,
            _folder: folder,
            ledger,
            recoveries: Vec::new(),
            limit: Some(RECOVERY),
        };
        drill.settle(Instant::now());
        drill
    }

    /// This soon all must be well again.
    pub fn limit(&mut self, limit: Duration) {
        self.limit = Some(limit);
    }

    /// One round: the fault falls and goes; gives back when what was away was there again. Each begins a little later in
    /// what the clients do.
    pub fn round(&mut self, fault: impl FnOnce(&mut Self) -> Instant) {
        let number = self.recoveries.len() as u64;
        std::thread::sleep(Duration::from_millis(number * 37 % 50));
        let back = fault(self);
        self.settle(back);
        let recovery = self.ledger.last_failure_after(back);
        if self.limit.is_some_and(|limit| recovery > limit) {
            self.ledger
                .broke(Promise::Wrong, format!("the last request that failed began {recovery:?} after"));
        }
        self.recoveries.push(recovery);
    }

    /// Waits until every client is served again, or cannot go on.
    pub fn settle(&self, since: Instant) {
        let begun = Instant::now();
        while !self.ledger.is_calm_since(since, CALM) && self.ledger.books().broken.is_empty() {
            let said = || self.nodes.iter().map(Node::said).collect::<Vec<_>>().join("\n");
            assert!(begun.elapsed() < PATIENCE, "{}: no calm in {PATIENCE:?}\n{}", self.fault, said());
            std::thread::sleep(PAUSE);
        }
    }

    /// Ends the load, looks everything up, and holds the promises.
    pub fn end(mut self) {
        self.load.take().expect("it runs").stop();
        let addresses: Vec<String> = self.nodes.iter().map(|node| node.address.clone()).collect();
        if self.ledger.books().broken.is_empty() {
            look_it_all_up(&self.ledger, &addresses, &self.postgres);
        }
        self.write_row();
        self.hold();
    }

    fn hold(&self) {
        let books = self.ledger.books();
        assert!(books.acknowledged > 0, "{}: nothing was done", self.fault);
        if books.broken.is_empty() {
            return;
        }
        let mut told = String::new();
        for (promise, (count, hows)) in &books.broken {
            let _ = writeln!(told, "{promise:?}, {count} times:\n  {}", hows.join("\n  "));
        }
        let said: Vec<String> = self.nodes.iter().map(Node::said).collect();
        panic!("{}: {told}\n{:?}\n{}", self.fault, books.answers, said.join("\n\n"));
    }

    /// The row of the table, where `make chaos` wants one.
    fn write_row(&self) {
        let Some(folder) = std::env::var_os("DOORWARD_CHAOS_REPORT").map(PathBuf::from) else { return };
        let books = self.ledger.books();
        let mut recoveries = self.recoveries.clone();
        recoveries.sort_unstable();
        let seconds =
            |time: Option<&Duration>| time.map_or("–".into(), |time| format!("{:.2}", time.as_secs_f64()));
        let columns = [
            self.fault.to_owned(),
            recoveries.len().to_string(),
            format!("{} / {} / {}", books.acknowledged, books.refused, books.unknown),
            (books.times(Promise::Lost) + books.times(Promise::Happened)).to_string(),
            books.times(Promise::TwoSuccessors).to_string(),
            books.times(Promise::SignedOut).to_string(),
            books.times(Promise::Wrong).to_string(),
            format!("{} of {}", books.times(Promise::LetIn), books.revoked.len()),
            format!("{:.2}", books.slowest.as_secs_f64()),
            format!("{} / {}", seconds(recoveries.get(recoveries.len() / 2)), seconds(recoveries.last())),
        ];
        let name = self.fault.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        std::fs::write(folder.join(name), format!("| {} |\n", columns.join(" | "))).expect("a row");
    }
}

impl Drop for Drill {
    fn drop(&mut self) {
        self.ledger.stop();
    }
}
