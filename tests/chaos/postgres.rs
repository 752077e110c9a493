//! A PostgreSQL for a test: its folder, its processes, and the actions on them.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use doorward_test::SmallDisk;
use doorward_test::machine::{folder, free_port, postgres_programs, postgres_user};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The superuser's password, on the loopback interface and for the length of a test.
pub const PASSWORD: &str = "of-a-cluster-that-lives-for-a-minute";
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);
/// The settings of every cluster. Only processes are killed, never the machine, so written data survives
/// without a sync.
const SETTINGS: [&str; 4] =
    ["fsync=off", "full_page_writes=off", "unix_socket_directories=", "max_connections=60"];

/// A cluster. Dropping it stops PostgreSQL and deletes the folder.
pub struct Postgres {
    /// Unmounted before the folder is deleted.
    disk: Option<SmallDisk>,
    folder: tempfile::TempDir,
    data: PathBuf,
    pub port: u16,
    settings: Vec<String>,
    /// The environment variables of its processes.
    environment: Vec<(String, String)>,
    /// The main process. It is a child of this process, so that ^C ends it too.
    child: Mutex<Option<Child>>,
}

impl Postgres {
    /// Starts a new cluster with additional settings, as `name=value`.
    pub fn with(settings: &[&str]) -> Self {
        Self::with_environment(settings, &[])
    }

    /// Starts a new cluster with additional settings and environment variables.
    pub fn with_environment(settings: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = folder();
        let data = folder.path().join("data");
        let mut postgres = Self::not_made(folder, data, settings);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        postgres.environment = environment.iter().map(owned).collect();
        postgres.make(&[]);
        postgres
    }

    /// Starts a new cluster with its tables on a small disk, and its write-ahead log elsewhere. Returns
    /// `None` if no disk can be mounted here.
    pub fn on_small_disk(megabytes: usize) -> Option<Self> {
        Self::beside_small_disk(megabytes, &[], |small, other| (small.join("data"), other.join("ahead")), &[])
    }

    /// Starts a new cluster with its write-ahead log on a small disk, in segments of one megabyte, and its
    /// tables elsewhere. Returns `None` if no disk can be mounted here.
    pub fn writing_ahead_to_small_disk(megabytes: usize) -> Option<Self> {
        let settings = ["min_wal_size=2MB", "max_wal_size=8MB", "wal_recycle=off"];
        let places = |small: &Path, other: &Path| (other.join("data"), small.join("ahead"));
        Self::beside_small_disk(megabytes, &settings, places, &["--wal-segsize=1"])
    }

    /// Starts a new cluster beside a small disk. `places` returns the folders of the data and of the
    /// write-ahead log, given the small disk's folder and another one.
    fn beside_small_disk(
        megabytes: usize,
        settings: &[&str],
        places: impl FnOnce(&Path, &Path) -> (PathBuf, PathBuf),
        initdb: &[&str],
    ) -> Option<Self> {
        let folder = folder();
        let small = folder.path().join("small");
        fs::create_dir(&small).unwrap();
        let disk = SmallDisk::mount(&small, megabytes)?;
        let (data, ahead) = places(&small, folder.path());
        let mut postgres = Self::not_made(folder, data, settings);
        if let Some(owner) = postgres_user() {
            chown(&small, Some(owner.uid.as_raw()), Some(owner.gid.as_raw())).unwrap();
        }
        postgres.disk = Some(disk);
        let ahead = format!("--waldir={}", ahead.display());
        postgres.make(&[&[ahead.as_str()], initdb].concat());
        Some(postgres)
    }

    /// Creates the cluster with the nodes' role and database, and starts it.
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
        // The nodes do not use the superuser, so that connections reserved for it stay free.
        for statement in [
            format!("CREATE ROLE doorward LOGIN PASSWORD '{PASSWORD}'"),
            "CREATE DATABASE doorward OWNER doorward".to_owned(),
        ] {
            let mut connection = self.try_connect_to("postgres").expect("PostgreSQL");
            connection.batch_execute(&statement).expect("a role and its database");
        }
    }

    /// Creates the value for a cluster that does not exist yet.
    pub fn not_made(folder: tempfile::TempDir, data: PathBuf, settings: &[&str]) -> Self {
        if let Some(owner) = postgres_user() {
            let (uid, gid) = (Some(owner.uid.as_raw()), Some(owner.gid.as_raw()));
            chown(folder.path(), uid, gid).unwrap();
            // The data's parent folder may already exist, if the caller created it.
            if let Some(parent) = data.parent() {
                chown(parent, uid, gid).unwrap();
            }
        }
        let settings = SETTINGS.iter().chain(settings).map(|setting| (*setting).to_owned()).collect();
        Self {
            disk: None,
            folder,
            data,
            port: free_port(),
            settings,
            environment: Vec::new(),
            child: Mutex::default(),
        }
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    fn data_text(&self) -> &str {
        self.data.to_str().unwrap()
    }

    /// Creates a command for one of PostgreSQL's programs, as PostgreSQL's user.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(postgres_programs().join(program));
        command.current_dir(self.folder.path()).env("PGPASSWORD", PASSWORD).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(owner) = postgres_user() {
            command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
        }
        command
    }

    /// Runs one of PostgreSQL's programs to its end. Returns its error output if it fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let output = self.command(program).args(arguments).output().unwrap();
        let said = || String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or_else(said)
    }

    /// Starts PostgreSQL. Retries after a kill, because the killed processes' remains disappear within
    /// moments.
    pub fn start(&self) {
        let started = Instant::now();
        while let Err(said) = self.try_start() {
            assert!(started.elapsed() < PATIENCE, "PostgreSQL does not start: {said}\n{}", self.log());
            std::thread::sleep(PAUSE);
        }
    }

    /// Returns its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn try_start(&self) -> Result<(), String> {
        assert_eq!(self.pid(), None, "it runs");
        let log = self.folder.path().join("log");
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = self.command("postgres");
        command.args(["-D", self.data_text(), "-c", "listen_addresses=127.0.0.1"]);
        command.arg("-p").arg(self.port.to_string());
        command.args(self.settings.iter().flat_map(|setting| ["-c", setting.as_str()]));
        let mut child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let started = Instant::now();
        while !self.answers() {
            if let Some(status) = child.try_wait().unwrap() {
                return Err(format!("it ended with {status}"));
            }
            assert!(started.elapsed() < PATIENCE, "PostgreSQL does not answer");
            std::thread::sleep(PAUSE);
        }
        *self.child.lock().unwrap() = Some(child);
        Ok(())
    }

    /// Stops it with a `fast` shutdown, or with an `immediate` one, as after a crash.
    pub fn stop(&self, way: &str) {
        self.end_by(if way == "immediate" { Signal::SIGQUIT } else { Signal::SIGINT });
    }

    /// Kills the main process with SIGKILL. The others end when they notice.
    pub fn kill(&self) {
        self.end_by(Signal::SIGKILL);
    }

    fn end_by(&self, signal: Signal) {
        let pid = self.pid().expect("it runs");
        kill(Pid::from_raw(pid), signal).unwrap();
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.wait().unwrap();
        }
    }

    /// Returns the small disk's folder.
    pub fn small_disk(&self) -> PathBuf {
        self.folder.path().join("small")
    }

    /// Returns the ID of the main process if it runs.
    pub fn pid(&self) -> Option<i32> {
        let mut held = self.child.lock().unwrap();
        let child = held.as_mut()?;
        matches!(child.try_wait(), Ok(None)).then(|| child.id().cast_signed())
    }

    /// Returns the IDs of the main process and its children.
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

    /// Pauses all of its processes.
    pub fn pause(&self) {
        self.signal_all(Signal::SIGSTOP);
    }

    pub fn resume(&self) {
        self.signal_all(Signal::SIGCONT);
    }

    fn signal_all(&self, signal: Signal) {
        for pid in self.processes() {
            // A process that has just ended needs no signal.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Returns the URL of the nodes' database at this port, which is the cluster's or a proxy's.
    pub fn url_at(port: u16) -> String {
        format!("postgres://doorward:{PASSWORD}@127.0.0.1:{port}/doorward?sslmode=disable")
    }

    fn try_connect_to(&self, database: &str) -> Option<PgConnection> {
        let place = format!("127.0.0.1:{}/{database}?sslmode=disable&connect_timeout=2", self.port);
        PgConnection::establish(&format!("postgres://postgres:{PASSWORD}@{place}")).ok()
    }

    /// Connects to the nodes' database as the superuser, without a proxy.
    pub fn connect(&self) -> PgConnection {
        self.try_connect_to("doorward").expect("PostgreSQL")
    }

    /// Returns whether it answers a statement.
    pub fn answers(&self) -> bool {
        let connection = self.try_connect_to("postgres");
        connection.is_some_and(|mut connection| sql_query("SELECT").execute(&mut connection).is_ok())
    }

    /// Runs statements on a new connection.
    pub fn sql(&self, statements: &str) {
        self.connect().batch_execute(statements).expect(statements);
    }

    /// Returns rows of two texts.
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
        if self.pid().is_some() {
            self.resume();
            self.stop("immediate");
        }
    }
}
