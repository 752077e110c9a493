//! The thread that starts PostgreSQL, waits for it, and restarts it when it dies unexpectedly. The thread
//! lives as long as PostgreSQL, because PostgreSQL ends with the thread that forked it.

use std::fs::{self, File, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::binaries::Binaries;
use super::cluster::Cluster;
use super::error::Error;
use super::place::Options;
use crate::files::{self, FILE_MODE};

/// The longest time before PostgreSQL reports that it is starting. After that, doorward waits without a
/// limit, since a recovery takes as long as it needs and an interrupted one starts over.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
/// The time until the first log message about a slow start.
const FIRST_REPORT: Duration = Duration::from_secs(2);
/// The interval between further log messages about a slow start.
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// The time for an orderly stop if the caller gives no deadline.
const STOPPED_WITHIN: Duration = Duration::from_secs(3);
/// The longest time to wait for an earlier process's PostgreSQL to stop.
const ORPHAN_DEADLINE: Duration = Duration::from_secs(10);
/// The longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The pause between two checks of whether a process has stopped or PostgreSQL has started.
const POLL: Duration = Duration::from_millis(10);
/// The log size in bytes above which a new log is started. The previous one is kept beside it.
const LOG_MAX: u64 = 10 * 1024 * 1024;

pub(super) struct Supervisor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// The postmaster's process ID. 0 means that none runs.
    pid: AtomicI32,
    stopping: AtomicBool,
}

impl Supervisor {
    /// Starts PostgreSQL and waits until it accepts connections. See [`SILENCE`] for `silence`.
    pub(super) fn start(
        cluster: &Cluster,
        binaries: &Binaries,
        options: &Options,
        silence: Duration,
    ) -> Result<Self, Error> {
        wait_for_orphan(cluster)?;
        let shared = Arc::new(Shared::default());
        let (tell, told) = mpsc::channel();
        let starter = Starter {
            cluster: cluster.clone(),
            postgres: binaries.program("postgres"),
            executable: options.executable.clone(),
            max_connections: options.max_connections,
            silence,
        };
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("private-postgres".into())
            .spawn(move || supervise(&starter, &for_thread, &tell))
            .map_err(|error| Error::NotStarted(error.to_string()))?;
        let supervisor = Self { shared, thread: Some(thread) };
        match told.recv() {
            Ok(Ok(())) => Ok(supervisor),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::NotStarted("its thread ended".into())),
        }
    }

    /// Stops PostgreSQL with a fast shutdown, after the deadline with an immediate one, and then by SIGKILL.
    pub(super) fn stop(mut self, deadline: Duration) {
        self.end(deadline);
    }

    fn end(&mut self, deadline: Duration) {
        let Some(thread) = self.thread.take() else { return };
        self.shared.stopping.store(true, Ordering::SeqCst);
        stop_by_signals(deadline, || self.shared.pid.load(Ordering::SeqCst), || thread.is_finished());
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

/// Sends SIGINT, SIGQUIT after the deadline, and then SIGKILL. `pid` is called before each signal and returns
/// 0 if there is no process.
fn stop_by_signals(deadline: Duration, pid: impl Fn() -> i32, mut has_ended: impl FnMut() -> bool) {
    let second = Duration::from_secs(1);
    for (signal, patience) in
        [(Signal::SIGINT, deadline), (Signal::SIGQUIT, second), (Signal::SIGKILL, second)]
    {
        if has_ended() {
            return;
        }
        let started = Instant::now();
        let pid = pid();
        if pid != 0 {
            let _ = kill(Pid::from_raw(pid), signal);
        }
        while !has_ended() && started.elapsed() < patience {
            pause(POLL);
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.end(STOPPED_WITHIN);
    }
}

struct Starter {
    cluster: Cluster,
    postgres: PathBuf,
    executable: PathBuf,
    max_connections: u32,
    silence: Duration,
}

fn supervise(starter: &Starter, shared: &Shared, tell: &mpsc::Sender<Result<(), Error>>) {
    match starter.start(shared) {
        Ok(child) => {
            let _ = tell.send(Ok(()));
            wait(child, shared);
        }
        Err(error) => {
            let _ = tell.send(Err(error));
            return;
        }
    }
    let mut patience = POLL;
    while !shared.stopping.load(Ordering::SeqCst) {
        tracing::warn!("the private PostgreSQL has died; starting it again");
        pause(patience);
        patience = (patience * 4).min(LONGEST_PAUSE);
        match starter.start(shared) {
            Ok(child) => {
                tracing::info!("the private PostgreSQL is running again");
                patience = POLL;
                wait(child, shared);
            }
            Err(error) => {
                tracing::error!(%error, "the private PostgreSQL could not be started yet; retrying")
            }
        }
    }
    starter.cluster.remove_socket_folder();
}

fn wait(mut child: Child, shared: &Shared) {
    let _ = child.wait();
    shared.pid.store(0, Ordering::SeqCst);
}

impl Starter {
    /// Starts PostgreSQL. Retries after a `kill -9` of the postmaster, because its orphaned children hold the
    /// shared memory for a moment.
    fn start(&self, shared: &Shared) -> Result<Child, Error> {
        let started = Instant::now();
        loop {
            let (mut child, log_from) = self.spawn()?;
            shared.pid.store(i32::try_from(child.id()).unwrap_or(0), Ordering::SeqCst);
            let Err(said) = self.wait_until_ready(&mut child, log_from, shared) else {
                return Ok(child);
            };
            shared.pid.store(0, Ordering::SeqCst);
            let is_passing = said.contains("shared memory block") || said.contains("is still in use");
            if !is_passing || started.elapsed() > ORPHAN_DEADLINE || shared.stopping.load(Ordering::SeqCst) {
                return Err(self.cluster.failure(&said));
            }
            pause(POLL * 10);
        }
    }

    fn spawn(&self) -> Result<(Child, u64), Error> {
        let log_file = self.cluster.log_file();
        let io = |error| Error::io(&log_file, error);
        if fs::metadata(&log_file).is_ok_and(|found| found.len() > LOG_MAX) {
            fs::rename(&log_file, log_file.with_extension("log.1")).map_err(io)?;
        }
        let mut log = files::open_kept("the log of the private PostgreSQL", &log_file)?;
        log.set_permissions(Permissions::from_mode(FILE_MODE)).map_err(io)?;
        let log_from = log.seek(SeekFrom::End(0)).map_err(io)?;
        let (user, group) = match &self.cluster.owner {
            Some(owner) => (owner.uid.to_string(), owner.gid.to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let mut command = Command::new(&self.executable);
        command.arg("private-postgres-child").args([user, group, std::process::id().to_string()]);
        command.arg(&self.postgres).arg("-D").arg(self.cluster.folder());
        for setting in self.settings() {
            command.arg("-c").arg(setting);
        }
        // The process group of its own keeps ^C from reaching PostgreSQL. doorward receives it and stops
        // PostgreSQL in order.
        command.process_group(0).current_dir("/").stdin(Stdio::null());
        command.stdout(log.try_clone().map_err(io)?).stderr(log);
        let child = command.spawn().map_err(|error| Error::io(&self.executable, error))?;
        Ok((child, log_from))
    }

    fn settings(&self) -> Vec<String> {
        vec![
            "listen_addresses=".to_owned(),
            format!("unix_socket_directories={}", self.cluster.socket_folder().display()),
            "unix_socket_permissions=0700".to_owned(),
            format!("max_connections={}", self.max_connections),
            "fsync=on".to_owned(),
            "full_page_writes=on".to_owned(),
            "synchronous_commit=on".to_owned(),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
            "log_checkpoints=off".to_owned(),
            "logging_collector=off".to_owned(),
        ]
    }

    /// Waits until postmaster.pid says `ready` for this child's process ID.
    fn wait_until_ready(&self, child: &mut Child, log_from: u64, shared: &Shared) -> Result<(), String> {
        let started = Instant::now();
        let pid = child.id().cast_signed();
        let mut told_at = FIRST_REPORT;
        let mut is_told_to_stop = false;
        loop {
            let status = status(&self.cluster.folder()).filter(|status| status.pid == pid);
            let says = |what: &str| status.as_ref().is_some_and(|status| status.says == what);
            if says("ready") {
                return Ok(());
            }
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err(read_from(&self.cluster.log_file(), log_from));
            }
            // The stop signal may have been sent before this child existed.
            if !is_told_to_stop && shared.stopping.load(Ordering::SeqCst) {
                is_told_to_stop = true;
                let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
            }
            if !says("starting") && started.elapsed() > self.silence {
                let has_ended = || child.try_wait().is_ok_and(|ended| ended.is_some());
                stop_by_signals(STOPPED_WITHIN, || pid, has_ended);
                return Err(format!("it did not start within {} s", self.silence.as_secs()));
            }
            if started.elapsed() > told_at {
                told_at += REPORT_EVERY;
                self.report_start(started.elapsed());
            }
            pause(POLL);
        }
    }

    fn report_start(&self, since: Duration) {
        let (seconds, log) = (since.as_secs(), self.cluster.log_file());
        tracing::info!(seconds, log = %log.display(), "PostgreSQL is recovering; waiting for it");
    }
}

/// The contents of postmaster.pid.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    /// The postmaster's process ID.
    pid: i32,
    /// `starting` during recovery, `ready` when PostgreSQL accepts connections, and empty before either.
    says: String,
}

fn status(folder: &Path) -> Option<Status> {
    parse_status(&fs::read_to_string(folder.join("postmaster.pid")).ok()?)
}

fn parse_status(text: &str) -> Option<Status> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let says = lines.get(7).copied().unwrap_or_default().to_owned();
    Some(Status { pid: lines.first()?.parse().ok()?, says })
}

/// Waits until an earlier process's postmaster has stopped. It stops by itself, since it is bound to end with
/// its parent.
fn wait_for_orphan(cluster: &Cluster) -> Result<(), Error> {
    let started = Instant::now();
    let folder = cluster.folder();
    while let Some(Status { pid, .. }) =
        status(&folder).filter(|status| is_postmaster_of(status.pid, &folder))
    {
        if started.elapsed() > ORPHAN_DEADLINE {
            return Err(Error::Orphan { folder, pid });
        }
        // It may have been started on a system where processes are not bound to their parent.
        if started.elapsed() > Duration::from_secs(1) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        }
        pause(POLL * 5);
    }
    Ok(())
}

/// Returns whether this process is a PostgreSQL on this folder. The ID may belong to another process by now.
fn is_postmaster_of(pid: i32, folder: &Path) -> bool {
    if pid <= 1 || kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) {
        return false;
    }
    match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(line) => String::from_utf8_lossy(&line).contains(&*folder.to_string_lossy()),
        // Without /proc, PostgreSQL itself decides.
        Err(_) => !Path::new("/proc/self").exists(),
    }
}

fn read_from(log_file: &Path, from: u64) -> String {
    let mut text = Vec::new();
    if let Ok(mut log) = File::open(log_file)
        && log.seek(SeekFrom::Start(from)).is_ok()
    {
        let _ = log.take(64 * 1024).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[allow(clippy::disallowed_methods)] // only called on threads that do nothing else
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_parsed_from_the_pid_file() {
        let starting = "123\n/data\n1700000000\n5432\n/socket\n\n  5432001  1\nstarting\n";
        let status = |says: &str| Some(Status { pid: 123, says: says.to_owned() });
        assert_eq!(parse_status(starting), status("starting"));
        assert_eq!(parse_status(&starting.replace("starting", "ready   ")), status("ready"));
        assert_eq!(parse_status("123\n/data\n"), status(""));
        assert_eq!(parse_status(""), None);
    }

    #[test]
    fn pid_of_another_process_is_not_an_orphan() {
        let own = std::process::id().cast_signed();
        assert!(!is_postmaster_of(own, Path::new("/nowhere/postgres")));
        assert!(!is_postmaster_of(0, Path::new("/")));
    }
}
