//! A drill: a PostgreSQL, nodes that reach it through the proxy, a load, and rounds in each of which a fault
//! starts and ends. Finally the ledger decides, and a row of the report is written.

use std::fmt::Write;
use std::time::{Duration, Instant};

use doorward_test::machine::folder;

use crate::ledger::{Ledger, Promise};
use crate::load::{Load, Mix, look_it_all_up};
use crate::node::Node;
use crate::postgres::Postgres;
use crate::proxy::Proxy;
use crate::report::Row;

/// No request may fail that starts later than this after the end of a fault.
pub const RECOVERY: Duration = Duration::from_secs(3);
/// The number of responses in a row that each client needs before the service counts as recovered.
const CALM: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// Returns the number of rounds for a fault that has `of` of them in `make chaos`. The short run has a few
/// for each hundred.
pub fn rounds(of: usize) -> usize {
    let hundred = std::env::var("DOORWARD_CHAOS_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    (of * hundred).div_ceil(100)
}

/// The parameters of a drill.
pub struct Setup {
    /// The fault's name in the report.
    pub fault: &'static str,
    pub nodes: usize,
    /// True if the fault does so little that nothing may fail.
    pub is_mild: bool,
    pub mix: Mix,
    /// Additional settings of PostgreSQL, as `name=value`.
    pub postgres: &'static [&'static str],
    /// Additional settings of the nodes.
    pub environment: Vec<(&'static str, String)>,
}

impl Setup {
    pub fn of(fault: &'static str) -> Self {
        Self { fault, nodes: 2, is_mild: false, mix: Mix::default(), postgres: &[], environment: Vec::new() }
    }
}

/// A running drill. Dropping it ends everything, the nodes first.
pub struct Drill {
    fault: &'static str,
    is_mild: bool,
    load: Option<Load>,
    pub nodes: Vec<Node>,
    pub proxy: Proxy,
    pub postgres: Postgres,
    _folder: tempfile::TempDir,
    pub ledger: Ledger,
    recoveries: Vec<Duration>,
    /// The time from the end of a fault until the service must have recovered. `None` means that there is no
    /// such limit.
    limit: Option<Duration>,
}

impl Drill {
    pub fn begin(setup: Setup) -> Self {
        let postgres = Postgres::with(setup.postgres);
        Self::on(postgres, setup)
    }

    /// Starts a drill on this PostgreSQL.
    pub fn on(postgres: Postgres, setup: Setup) -> Self {
        let folder = folder();
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
            is_mild: setup.is_mild,
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

    /// Sets the time within which the service must recover.
    pub fn limit(&mut self, limit: Duration) {
        self.limit = Some(limit);
    }

    /// Runs a round. `fault` causes the fault and returns the time at which it ended. Each round starts a
    /// little later in the clients' work.
    pub fn round(&mut self, fault: impl FnOnce(&mut Self) -> Instant) {
        let number = self.recoveries.len() as u64;
        std::thread::sleep(Duration::from_millis(number * 37 % 50));
        let back = fault(self);
        self.settle(back);
        let late = self.ledger.last_failure_after(back);
        if self.limit.is_some_and(|limit| late > limit) {
            let how = format!("the last request that failed began {late:?} after");
            self.ledger.broke(Promise::Wrong, how);
        }
        self.recoveries.push(self.ledger.served_again_after(back));
    }

    /// Waits until every client is served again, or a promise is broken.
    pub fn settle(&self, since: Instant) {
        let started = Instant::now();
        while !self.ledger.is_calm_since(since, CALM) && self.ledger.books().broken.is_empty() {
            let said = || self.nodes.iter().map(Node::said).collect::<Vec<_>>().join("\n");
            assert!(started.elapsed() < PATIENCE, "{}: no calm in {PATIENCE:?}\n{}", self.fault, said());
            std::thread::sleep(PAUSE);
        }
    }

    /// Ends the load, checks everything that was acknowledged, and checks the promises.
    pub fn end(mut self) {
        self.load.take().expect("it runs").stop();
        let addresses: Vec<String> = self.nodes.iter().map(|node| node.address.clone()).collect();
        if self.ledger.books().broken.is_empty() {
            look_it_all_up(&self.ledger, &addresses, &self.postgres);
        }
        Row::new(self.fault).recoveries(&self.recoveries).books(&self.ledger.books()).write();
        self.hold();
    }

    fn hold(&self) {
        let books = self.ledger.books();
        assert!(books.acknowledged > 0, "{}: nothing was done", self.fault);
        let is_felt = books.unknown > 0 || !books.broken.is_empty();
        assert_eq!(is_felt, !self.is_mild, "{}: {:?}", self.fault, books.answers);
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
}

impl Drop for Drill {
    fn drop(&mut self) {
        self.ledger.stop();
    }
}
