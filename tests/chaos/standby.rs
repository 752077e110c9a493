//! A primary and its standby on two ports. In each round one dies, the other is promoted, and a new standby
//! takes the place of the dead one.

use std::time::{Duration, Instant};

use doorward_test::machine::folder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::postgres::{PASSWORD, Postgres};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);
/// The standby's application name.
const NAME: &str = "the_standby";

impl Postgres {
    /// Creates a running standby of this cluster, which connects to it through the port `by_way_of`: its own,
    /// or a proxy's.
    pub fn standby(&self, port: u16, by_way_of: u16) -> Self {
        let folder = folder();
        let data = folder.path().join("data");
        let mut standby = Self::not_made(folder, data, &[]);
        standby.port = port;
        // The proxy does not support negotiating encryption.
        let plain = "sslmode=disable gssencmode=disable";
        let primary =
            format!("host=127.0.0.1 port={by_way_of} user=postgres application_name={NAME} {plain}");
        let to = standby.data().to_str().unwrap().to_owned();
        let arguments = ["-R", "-X", "stream", "--checkpoint=fast", "--no-sync", "-D", &to, "-d", &primary];
        standby.run("pg_basebackup", &arguments).unwrap();
        standby.start();
        self.wait_for("SELECT 'streaming' AS one, count(*)::text AS other FROM pg_stat_replication WHERE state = 'streaming'", "1");
        standby
    }

    /// Makes commits wait for the standby from now on.
    pub fn wait_for_standby(&self) {
        // These run separately, since neither may run in a transaction.
        self.sql(&format!("ALTER SYSTEM SET synchronous_standby_names = '{NAME}'"));
        self.sql("SELECT pg_reload_conf()");
        self.wait_for("SELECT '' AS one, sync_state AS other FROM pg_stat_replication", "sync");
    }

    /// Waits until the second text of a query's first row is `wanted`.
    pub fn wait_for(&self, query: &str, wanted: &str) {
        let started = Instant::now();
        while self.pairs(query).first().is_none_or(|(_, found)| found != wanted) {
            assert!(started.elapsed() < PATIENCE, "{query}: {:?}", self.pairs(query));
            std::thread::sleep(PAUSE);
        }
    }

    /// Kills all of its processes with SIGKILL, as if its machine had lost power.
    pub fn lose(&self) {
        let processes = self.processes();
        for pid in &processes {
            // A process that has just ended needs no signal.
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        let started = Instant::now();
        while self.pid().is_some() && self.answers() {
            assert!(started.elapsed() < PATIENCE, "it does not die");
            std::thread::sleep(PAUSE);
        }
    }

    /// Promotes a standby to the primary.
    pub fn promote(&self) {
        self.run("pg_ctl", &["promote", "-s", "-w", "-D", self.data().to_str().unwrap()]).unwrap();
    }

    /// Returns a URL with both hosts, from which libpq chooses the one that accepts writes.
    pub fn url_of_both(&self, other: u16) -> String {
        let hosts = format!("127.0.0.1:{},127.0.0.1:{other}", self.port);
        format!(
            "postgres://doorward:{PASSWORD}@{hosts}/doorward?sslmode=disable&target_session_attrs=read-write"
        )
    }
}
