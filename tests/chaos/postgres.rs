//! A PostgreSQL of a test's own: its folder, its processes by id, and what is done to them.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};

use crate::small_disk::SmallDisk;

/// The superuser's password, on loopback and for as long as a test takes.
pub const PASSWORD: &str = "of-a-cluster-that-lives-for-a-minute";
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);
/// What is killed here is a process, never the machine: what was written is there without a sync.
const SETTINGS: [&str; 4] =
    ["fsync=off", "full_page_writes=off", "unix_socket_directories=", "max_connections=60"];

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A folder that PostgreSQL's user reaches; it goes with this.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("dw").tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The folder of the server's programs.
fn programs() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres-bin");
        let output = Command::new(script).output().unwrap();
        assert!(output.status.success(), "there is no PostgreSQL: scripts/install-missing postgres");
        String::from_utf8(output.stdout).unwrap().trim().into()
    })
}

/// PostgreSQL refuses to run as root.
fn owner() -> Option<User> {
    let other = || ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).unwrap());
    Uid::effective().is_root().then(|| other().expect("a user for PostgreSQL"))
}

/// A cluster; it is stopped with this, and its folder removed.
pub struct Postgres {
    /// Unmounted before its folder goes.
    disk: Option<SmallDisk>,
    folder: tempfile::TempDir,
    data: PathBuf,
    pub port: u16,
    settings: Vec<String>,
    /// Of its processes.
    environment: Vec<(String, String)>,
}

impl Postgres {
    /// A cluster that runs, with further settings, as `name=value`.
    pub fn with(settings: &[&str]) -> Self {
        Self::with_environment(settings, &[])
    }

    /// The same whose processes have these variables.
    pub fn with_environment(settings: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = folder();
        let data = folder.path().join("data");
        let mut postgres = Self::not_made(folder, data, settings);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        postgres.environment = environment.iter().map(owned).collect();
        postgres.make(&[]);
        postgres
    }

    /// The same with its tables on a small disk of their own, and what it writes ahead elsewhere; `None`: no disk can be
    /// mounted here.
    pub fn on_small_disk(megabytes: usize) -> Option<Self> {
        let folder = folder();
        let (small, ahead) = (folder.path().join("small"), folder.path().join("ahead"));
        fs::create_dir(&small).unwrap();
        let disk = SmallDisk::mount(&small, megabytes)?;
        let mut postgres = Self::not_made(folder, small.join("data"), &[]);
        postgres.disk = Some(disk);
        postgres.make(&[&format!("--waldir={}", ahead.display())]);
        Some(postgres)
    }

    /// Makes the cluster, with the nodes' role and database, and starts it.
    fn make(&self, further: &[&str]) {
        let password = self.folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        let arguments = [
            "--username=postgres",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ];
        let password = format!("--pwfile={}", password.display());
        let arguments = [&arguments[..], &[&password, "-D", self.data_text()], further].concat();
        self.run("initdb", &arguments).unwrap();
        self.start();
        // Not the superuser: what is kept for that one is not for the nodes.
        for statement in [
            format!("CREATE ROLE doorward LOGIN PASSWORD '{PASSWORD}'"),
            "CREATE DATABASE doorward OWNER doorward".to_owned(),
        ] {
            let mut connection = self.try_connect_to("postgres").expect("PostgreSQL");
            connection.batch_execute(&statement).expect("a role and its database");
        }
    }

    /// A folder and a port for a cluster that is not made yet.
    pub fn not_made(folder: tempfile::TempDir, data: PathBuf, settings: &[&str]) -> Self {
        if let Some(owner) = owner() {
            let (uid, gid) = (Some(owner.uid.as_raw()), Some(owner.gid.as_raw()));
            chown(folder.path(), uid, gid).unwrap();
            // A folder of the caller's inside of it may be there already.
            if let Some(parent) = data.parent() {
                chown(parent, uid, gid).unwrap();
            }
        }
        let settings = SETTINGS.iter().chain(settings).map(|setting| (*setting).to_owned()).collect();
        Self { disk: None, folder, data, port: free_port(), settings, environment: Vec::new() }
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    fn data_text(&self) -> &str {
        self.data.to_str().unwrap()
    }

    /// Runs one of PostgreSQL's programs to its end, as its user; what it said, when it fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let mut command = Command::new(programs().join(program));
        command.args(arguments).current_dir(self.folder.path()).env("PGPASSWORD", PASSWORD);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(owner) = owner() {
            command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
        }
        // The server inherits what pg_ctl has: a pipe would not end.
        let log = self.folder.path().join(format!("{program}.log"));
        let file = fs::File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let status = command.status().unwrap();
        status.success().then_some(()).ok_or_else(|| fs::read_to_string(&log).unwrap_or_default())
    }

    /// Starts it, after a kill too: what the killed one leaves behind goes within moments.
    pub fn start(&self) {
        let begun = Instant::now();
        while let Err(said) = self.try_start() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "PostgreSQL does not start: {said}\n{log}");
            std::thread::sleep(PAUSE);
        }
    }

    fn try_start(&self) -> Result<(), String> {
        let settings: Vec<String> = self.settings.iter().map(|setting| format!("-c {setting}")).collect();
        let options = format!("-p {} -c listen_addresses=127.0.0.1 {}", self.port, settings.join(" "));
        let log = self.folder.path().join("log");
        let arguments = ["start", "-s", "-W", "-D", self.data_text(), "-o", &options, "-l"];
        self.run("pg_ctl", &[&arguments[..], &[log.to_str().unwrap()]].concat())?;
        let begun = Instant::now();
        while !self.answers() {
            let died = self.pid().is_none() && begun.elapsed() > Duration::from_millis(500);
            if died || begun.elapsed() > PATIENCE {
                return Err("it does not answer".to_owned());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Stops it in one of pg_ctl's ways: `fast`, or `immediate` as if it had crashed.
    pub fn stop(&self, way: &str) {
        self.run("pg_ctl", &["stop", "-s", "-w", "-m", way, "-D", self.data_text()]).unwrap();
    }

    /// The main process, as it runs.
    pub fn pid(&self) -> Option<i32> {
        let text = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        let pid = text.lines().next()?.trim().parse().ok()?;
        kill(Pid::from_raw(pid), None).is_ok().then_some(pid)
    }

    /// The main process and all that it began.
    pub fn processes(&self) -> Vec<i32> {
        let main = self.pid().expect("it runs");
        let parent_of = |pid: &i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<i32>().ok()
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        std::iter::once(main).chain(all.filter(|pid| parent_of(pid) == Some(main))).collect()
    }

    /// Kills the main process with SIGKILL; the others end when they see that it is gone.
    pub fn kill(&self) {
        let pid = Pid::from_raw(self.pid().expect("it runs"));
        kill(pid, Signal::SIGKILL).unwrap();
        let begun = Instant::now();
        while kill(pid, None).is_ok() && !is_zombie(pid) {
            assert!(begun.elapsed() < PATIENCE, "it does not die");
            std::thread::sleep(PAUSE);
        }
    }

    /// Stops all of its processes where they are.
    pub fn pause(&self) {
        self.signal_all(Signal::SIGSTOP);
    }

    pub fn resume(&self) {
        self.signal_all(Signal::SIGCONT);
    }

    fn signal_all(&self, signal: Signal) {
        for pid in self.processes() {
            // One that has just ended needs none.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// The nodes' database at this port: of the cluster, or of what stands in front of it.
    pub fn url_at(port: u16) -> String {
        format!("postgres://doorward:{PASSWORD}@127.0.0.1:{port}/doorward?sslmode=disable")
    }

    fn try_connect_to(&self, database: &str) -> Option<PgConnection> {
        let place = format!("127.0.0.1:{}/{database}?sslmode=disable&connect_timeout=2", self.port);
        PgConnection::establish(&format!("postgres://postgres:{PASSWORD}@{place}")).ok()
    }

    /// The superuser's connection to the nodes' database, not by way of any proxy.
    pub fn connect(&self) -> PgConnection {
        self.try_connect_to("doorward").expect("PostgreSQL")
    }

    /// Whether it takes statements.
    pub fn answers(&self) -> bool {
        let connection = self.try_connect_to("postgres");
        connection.is_some_and(|mut connection| sql_query("SELECT").execute(&mut connection).is_ok())
    }

    /// Runs statements on a connection of their own.
    pub fn sql(&self, statements: &str) {
        self.connect().batch_execute(statements).expect(statements);
    }

    /// Two texts a row.
    pub fn pairs(&self, query: &str) -> Vec<(String, String)> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            one: String,
            #[diesel(sql_type = Text)]
            other: String,
        }
        let rows: Vec<Row> = sql_query(query).load(&mut self.connect()).expect(query);
        rows.into_iter().map(|row| (row.one, row.other)).collect()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            self.resume();
            let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
            let begun = Instant::now();
            while kill(Pid::from_raw(pid), None).is_ok() && begun.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// One that nobody has waited for is dead too.
fn is_zombie(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default().contains(") Z ")
}
