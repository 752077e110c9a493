//! The private PostgreSQL starts and stops with the server, and recovers after a `kill -9` of either.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use doorward::database::private_postgres::{Options, PrivatePostgres};
use doorward_test::{PASSWORD, SmallDisk};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Folder, Server, ask, pause};

/// The documented maximum time for a stop.
const STOP: Duration = Duration::from_secs(10);

fn is_alive(pid: i32) -> bool {
    // A zombie that no one has waited for is also dead.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    kill(Pid::from_raw(pid), None).is_ok() && !stat.contains(") Z ")
}

fn refresh_until_answered(server: &crate::support::Server, token: &str) -> String {
    let started = Instant::now();
    loop {
        let (status, body) = server.refresh(token);
        match status {
            200 => return body["refresh_token"].as_str().unwrap().to_owned(),
            // The server is gone or not ready yet, so asking again is right.
            0 | 503 => assert!(started.elapsed() < Duration::from_secs(20), "no service in time"),
            _ => panic!("signed out: {status} {body}"),
        }
        pause();
    }
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: not in time");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn children_of(parent: i32) -> Vec<i32> {
    let parent_of = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<i32>().ok()
    };
    let all = fs::read_dir("/proc").unwrap().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    all.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// Starts a server whose PostgreSQL has much to recover if it dies now.
fn serve_much(folder: &Folder) -> Server {
    let server = folder.serve();
    let password = fs::read_to_string(folder.data_dir().join("postgres.password")).unwrap();
    let socket = folder.data_dir().join("socket").to_str().unwrap().replace('/', "%2F");
    let url = format!("postgresql://doorward:{}@{socket}/doorward", password.trim());
    let much = "CREATE TABLE much AS SELECT generate_series(1, 2000000) AS number";
    PgConnection::establish(&url).unwrap().batch_execute(much).unwrap();
    server
}

/// Returns a folder whose PostgreSQL was killed, and whose server was killed before that had recovered.
fn crashed() -> Folder {
    let folder = Folder::new();
    let server = serve_much(&folder);
    let postmaster = folder.postmaster().unwrap();
    signal(postmaster, Signal::SIGKILL);
    // The process ID stays in use until the server has noticed the death.
    until("the end", || kill(Pid::from_raw(postmaster), None).is_err());
    server.signal(Signal::SIGKILL);
    server.wait();
    until("the end of its successor", || folder.postmaster().is_none_or(|pid| !is_alive(pid)));
    folder
}

/// Pauses the recovering process in the middle of its work. Returns its ID and the postmaster's.
fn hold_recovery(folder: &Folder) -> (i32, i32) {
    let mut held = None;
    until("a recovery", || {
        let Some(postmaster) = folder.postmaster() else { return false };
        let recovers = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("startup")
        };
        held = children_of(postmaster).into_iter().find(recovers).map(|pid| (pid, postmaster));
        held.is_some_and(|(pid, _)| kill(Pid::from_raw(pid), Signal::SIGSTOP).is_ok())
    });
    let status = fs::read_to_string(folder.data_dir().join("postgres/postmaster.pid")).unwrap();
    assert_eq!(status.lines().nth(7).map(str::trim), Some("starting"), "it has begun, and is not done");
    held.unwrap()
}

#[test]
fn recovery_is_awaited_beyond_the_start_timeout() {
    let folder = crashed();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let options = Options {
        data_dir: folder.data_dir(),
        path: std::env::split_paths(&path).collect(),
        executable: env!("CARGO_BIN_EXE_doorward").into(),
        max_connections: 20,
    };
    let silence = Duration::from_secs(2);
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| PrivatePostgres::open_within(&options, silence));
        let (recovering, postmaster) = hold_recovery(&folder);
        let held = Instant::now();
        while held.elapsed() < silence * 2 {
            assert!(is_alive(postmaster) && !opening.is_finished(), "it was given up");
            pause();
        }
        signal(recovering, Signal::SIGCONT);
        let postgres = opening.join().unwrap().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(folder.postmaster(), Some(postmaster), "the one that has recovered");
        assert!(PgConnection::establish(postgres.url().expose()).is_ok());
        postgres.stop(STOP);
        assert!(!is_alive(postmaster));
    });
}

#[test]
fn server_is_alive_but_not_ready_while_postgresql_recovers() {
    let folder = crashed();
    let mut command = folder.command(&["serve", "--log", "info"]);
    let mut server = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap()).lines();
    let (recovering, postmaster) = hold_recovery(&folder);
    until("it lives", || ask(folder.port, "GET", "/healthz", "", None).0 == 200);
    assert_eq!(ask(folder.port, "GET", "/readyz", "", None).0, 503);
    let (status, body) = ask(folder.port, "GET", "/api/v1/me", "", None);
    assert!(status == 503 && body.contains("database_unavailable"), "{status} {body}");
    assert!(log.any(|line| line.unwrap().contains("PostgreSQL is recovering; waiting for it")));
    let started = Instant::now();
    signal(server.id().cast_signed(), Signal::SIGTERM);
    let status = server.wait().unwrap();
    assert!(status.success() && started.elapsed() < STOP, "{status} {:?}", started.elapsed());
    signal(recovering, Signal::SIGCONT);
    until("PostgreSQL ends with its server", || !is_alive(postmaster));
    assert!(folder.serve().is_ready(), "and recovers again");
}

#[test]
fn server_stops_in_time_while_postgresql_recovers() {
    let folder = Folder::new();
    let server = serve_much(&folder);
    let first = folder.postmaster().unwrap();
    signal(first, Signal::SIGKILL);
    let (recovering, postmaster) = hold_recovery(&folder);
    assert_ne!(first, postmaster);
    let started = Instant::now();
    server.signal(Signal::SIGTERM);
    let (code, _, said) = server.wait();
    assert_eq!(code, Some(0), "{said}");
    assert!(started.elapsed() < STOP, "{:?}", started.elapsed());
    assert!(!is_alive(postmaster));
    signal(recovering, Signal::SIGCONT);
    until("nothing is left behind", || !is_alive(recovering));
    assert!(folder.serve().is_ready());
}

#[test]
fn postgresql_starts_and_stops_with_the_server() {
    let folder = Folder::new();
    let server = folder.serve();
    let postmaster = folder.postmaster().unwrap();
    assert!(is_alive(postmaster));
    let (status, tokens) = server.login("admin", PASSWORD);
    assert_eq!(status, 200, "{tokens}");
    let started = Instant::now();
    server.signal(Signal::SIGTERM);
    // The server is not ready but still serves, so that load balancers switch first.
    while server.is_ready() {
        assert!(started.elapsed() < Duration::from_secs(2));
        pause();
    }
    assert_eq!(server.get("/api/v1/me", tokens["access_token"].as_str().unwrap()).0, 200);
    let (code, printed, _) = server.wait();
    assert_eq!(code, Some(0));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(printed.contains("doorward serves at http://127.0.0.1:"), "{printed}");
    assert!(!is_alive(postmaster) && folder.postmaster().is_none(), "stopped in good order");
}

#[test]
fn sessions_refresh_after_killing_server_or_postgresql() {
    let folder = Folder::new();
    let mut server = folder.serve();
    let mut chains: Vec<String> = (0..4)
        .map(|_| server.login("admin", PASSWORD).1["refresh_token"].as_str().unwrap().to_owned())
        .collect();
    for round in 0..3 {
        // Each client keeps refreshing its tokens while the process is killed.
        chains = std::thread::scope(|scope| {
            let threads: Vec<_> = chains
                .iter()
                .map(|first| {
                    let server = &server;
                    scope.spawn(move || {
                        let mut live = first.clone();
                        for _ in 0..40 {
                            match server.refresh(&live) {
                                (200, body) => live = body["refresh_token"].as_str().unwrap().to_owned(),
                                (0 | 503, _) => pause(),
                                (status, body) => panic!("{status} {body}"),
                            }
                        }
                        live
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(60));
            let victim = if round == 1 { server.pid() } else { folder.postmaster().unwrap() };
            kill(Pid::from_raw(victim), Signal::SIGKILL).unwrap();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        if round == 1 {
            server = folder.serve();
        }
        server.wait_until_ready();
        chains = chains.iter().map(|live| refresh_until_answered(&server, live)).collect();
    }
}

#[test]
fn postgresql_stops_when_its_server_is_killed() {
    let folder = Folder::new();
    let server = folder.serve();
    let postmaster = folder.postmaster().unwrap();
    server.signal(Signal::SIGKILL);
    server.wait();
    let started = Instant::now();
    while is_alive(postmaster) {
        assert!(started.elapsed() < Duration::from_secs(10), "the orphan lives");
        pause();
    }
}

#[test]
fn second_server_on_the_data_folder_is_refused() {
    let folder = Folder::new();
    let server = folder.serve();
    let mut other = Folder::new();
    other.port = 0;
    let output = folder
        .command(&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another doorward serves from the data folder"), "{said}");
    assert!(server.is_ready());
}

#[test]
fn lost_cluster_is_not_replaced_by_an_empty_one() {
    let folder = Folder::new();
    folder.ok(&["migrate"]);
    let data = folder.data_dir();
    let password = fs::read_to_string(data.join("postgres.password")).unwrap();
    fs::rename(data.join("postgres"), folder.path().join("away")).unwrap();
    for command in [&["serve"][..], &["migrate"], &["user", "list"]] {
        let said = folder.fails(command);
        assert!(
            said.contains("data/postgres is missing") && said.contains("restore it from a copy"),
            "{said}"
        );
        assert!(said.contains("delete postgres.password, doorward.password, postgres.log in "), "{said}");
    }
    assert!(!data.join("postgres").exists());
    assert_eq!(fs::read_to_string(data.join("postgres.password")).unwrap(), password);
    fs::rename(folder.path().join("away"), data.join("postgres")).unwrap();
    drop(folder.serve());
}

#[test]
fn damaged_cluster_is_named_with_a_remedy() {
    let folder = Folder::new();
    folder.ok(&["migrate"]);
    let (data, away) = (folder.data_dir(), folder.path().join("away"));
    fs::create_dir(&away).unwrap();
    for name in ["pg_hba.conf", "postgresql.conf", "global/pg_control"] {
        fs::rename(data.join("postgres").join(name), away.join("file")).unwrap();
        for command in [&["serve"][..], &["migrate"], &["user", "list"]] {
            let said = folder.fails(command);
            assert!(said.contains("the data folder is damaged") && said.contains(name), "{said}");
            assert!(
                said.contains("copy of the data folder") && said.contains("`doorward restore`"),
                "{said}"
            );
        }
        fs::rename(away.join("file"), data.join("postgres").join(name)).unwrap();
    }
    folder.ok(&["migrate"]);
    // The advice is followed.
    fs::remove_file(data.join("postgres/global/pg_control")).unwrap();
    let said = folder.fails(&["serve"]);
    let (_, named) = said.split_once("If there is only a backup, move ").unwrap();
    let (named, _) = named.split_once(" out of ").unwrap();
    for path in named.split(", ") {
        let name = data.join(path);
        fs::rename(&name, away.join(name.file_name().unwrap())).unwrap();
    }
    drop(folder.serve());
}

#[test]
fn unfinished_cluster_of_a_killed_process_is_recreated() {
    let folder = Folder::new();
    let data = folder.data_dir();
    fs::create_dir_all(data.join("postgres.unfinished.1")).unwrap();
    fs::write(data.join("postgres.password"), "of the unfinished one").unwrap();
    folder.ok(&["migrate"]);
}

#[test]
fn cluster_of_another_owner_is_reported_with_a_remedy() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = Folder::new();
    folder.ok(&["migrate"]);
    let cluster = folder.data_dir().join("postgres");
    std::os::unix::fs::chown(&cluster, Some(54321), None).unwrap();
    let said = folder.fails(&["serve"]);
    assert!(said.contains("belongs to the user id 54321") && said.contains("chown -R "), "{said}");
}

#[test]
fn cluster_of_another_version_is_reported() {
    let folder = Folder::new();
    folder.ok(&["migrate"]);
    let version = folder.data_dir().join("postgres/PG_VERSION");
    fs::write(&version, "9\n").unwrap();
    let said = folder.fails(&["serve"]);
    assert!(said.contains("created by PostgreSQL 9"), "{said}");
}

#[test]
fn stale_pid_file_of_another_process_does_not_stop_the_start() {
    let folder = Folder::new();
    folder.ok(&["migrate"]);
    let own = std::process::id();
    let stale = format!("{own}\n/nowhere\n1700000000\n5432\n/nowhere\n\n  1 1\nready\n");
    fs::write(folder.data_dir().join("postgres/postmaster.pid"), stale).unwrap();
    let server = folder.serve();
    assert!(server.is_ready());
}

#[test]
fn missing_programs_are_reported_with_what_to_install() {
    if std::path::Path::new("/usr/lib/postgresql").exists() || std::path::Path::new("/usr/pgsql").exists() {
        // The programs are found where distributions install them, whatever PATH is, so a start without PATH
        // works.
        let folder = Folder::new();
        let migrated = folder.command(&["migrate"]).env("PATH", "").output().unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        return;
    }
    let folder = Folder::new();
    let output = folder.command(&["migrate"]).env("PATH", "").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Install them") && said.contains("DATABASE_URL"), "{said}");
}

#[test]
fn unusable_folder_name_moves_the_socket_elsewhere() {
    let folder = Folder::new();
    for name in ["a-rather-long-name-for-a-folder".repeat(4), "one, two".to_owned(), "a \"name\"".to_owned()]
    {
        let odd = folder.path().join(&name);
        fs::create_dir(&odd).unwrap();
        let migrated = folder.command(&["migrate", "--data-dir"]).arg(odd.join("data")).output().unwrap();
        assert!(migrated.status.success(), "{name}: {}", String::from_utf8_lossy(&migrated.stderr));
        assert!(!odd.join("data/socket").exists(), "{name}");
    }
}

#[test]
fn full_disk_is_reported_and_leaves_no_partial_cluster() {
    let folder = Folder::new();
    let small = folder.path().join("small");
    fs::create_dir(&small).unwrap();
    let Some(disk) = SmallDisk::mount(&small, 20) else { return };
    let data = small.join("data");
    let said = folder.fails(&["migrate", "--data-dir", data.to_str().unwrap()]);
    assert!(said.contains(" is full"), "{said}");
    let left: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let is_cluster = |name: &str| name == "postgres" || name.starts_with("postgres.unfinished");
    assert!(!left.iter().any(|name| is_cluster(&name.to_string_lossy())), "{left:?}");
    drop(disk);
}
