//! Real `doorward serve` processes, and the actions on them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use doorward_test::PASSWORD;
use doorward_test::machine::free_port;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// The settings of every node: the same secret key and public URL, cheap hashes, no limits on attempts, and
/// tokens that outlive a drill.
const SETTINGS: [(&str, &str); 13] = [
    ("DOORWARD_SECRET_KEY", "the-key-of-a-cluster-that-lives-for-minutes"),
    ("DOORWARD_PUBLIC_URL", "http://doorward.test"),
    ("DOORWARD_ADMIN_PASSWORD", PASSWORD),
    ("DOORWARD_BCRYPT_COST", "10"),
    ("DOORWARD_ACCESS_TOKEN_TTL", "1h"),
    ("DOORWARD_MAX_SESSIONS", "10000"),
    ("DOORWARD_LOGIN_FAILURES", "1000000"),
    ("DOORWARD_LOGIN_FAILURES_PER_ADDRESS", "1000000"),
    ("DOORWARD_LOGIN_FAILURES_IN_ALL", "1000000"),
    ("DOORWARD_UNPROVEN_PER_ADDRESS", "1000000"),
    ("DOORWARD_TOKENS_PER_USER", "1000000"),
    ("DOORWARD_LOG", "warn"),
    ("DOORWARD_LOG_FORMAT", "text"),
];

/// A node, running or not. Dropping it kills the process.
pub struct Node {
    pub address: String,
    metrics: String,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Node {
    /// Creates a node for the database at this URL. Does not start it. Its log is in the folder.
    pub fn new(folder: &Path, database_url: &str, environment: &[(&str, &str)]) -> Self {
        let (port, metrics) = (free_port(), free_port());
        let own = [("DATABASE_URL", database_url), ("DOORWARD_DATA_DIR", folder.to_str().unwrap())];
        let all = SETTINGS.iter().chain(&own).chain(environment);
        Self {
            address: format!("127.0.0.1:{port}"),
            metrics: format!("127.0.0.1:{metrics}"),
            environment: all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            log: folder.join(format!("node-{port}.log")),
            child: None,
        }
    }

    /// Starts the process without waiting for it.
    pub fn start(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars() {
            if name.starts_with("DOORWARD") || name == "DATABASE_URL" {
                command.env_remove(name);
            }
        }
        command
            .arg("serve")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("DOORWARD_LISTEN", &self.address)
            .env("DOORWARD_METRICS_LISTEN", &self.metrics)
            .current_dir(self.log.parent().unwrap())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.as_ref().expect("it runs").id().cast_signed())
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits for the process to end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.take().expect("it runs").wait().unwrap()
    }

    /// Returns the response of `/readyz`. The status is 0 if there is none within a few seconds.
    pub fn readiness(&self) -> (u16, String) {
        ask(&self.address, "/readyz").unwrap_or_default()
    }

    /// Returns a counter from the node's metrics, or 0 if it was never incremented.
    pub fn counter(&self, name: &str) -> f64 {
        let (_, metrics) = ask(&self.metrics, "/metrics").expect("its metrics");
        metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0)
    }

    /// Returns whether the node serves and its feed is live.
    pub fn is_ready(&self) -> bool {
        let (status, body) = self.readiness();
        status == 200 && body.contains("\"feed\":\"live\"")
    }

    pub fn wait_until_ready(&self) {
        let started = Instant::now();
        while !self.is_ready() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            assert!(
                started.elapsed() < PATIENCE,
                "{} is not ready: {:?}\n{log}",
                self.address,
                self.readiness()
            );
            std::thread::sleep(PAUSE);
        }
    }

    /// Returns the last lines of the node's log.
    pub fn said(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // SIGKILL also ends a paused process.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns the program to test, which is the one built with the tests unless the environment names another.
fn binary() -> PathBuf {
    std::env::var_os("DOORWARD_CHAOS_BINARY").map_or(env!("CARGO_BIN_EXE_doorward").into(), PathBuf::from)
}

/// Sends a GET request on a new connection.
pub fn ask(address: &str, path: &str) -> Option<(u16, String)> {
    use std::io::Read;
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(6))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}
