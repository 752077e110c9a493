//! The embedded default: started and stopped with the server, and back after a `kill -9` of either.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::small_disk::SmallDisk;
use crate::support::{Folder, PASSWORD, pause};

fn is_alive(pid: i32) -> bool {
    // A zombie that nobody has waited for is dead too.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    kill(Pid::from_raw(pid), None).is_ok() && !stat.contains(") Z ")
}

fn refresh_until_answered(server: &crate::support::Server, token: &str) -> String {
    let begun = Instant::now();
    loop {
        let (status, body) = server.refresh(token);
        match status {
            200 => return body["refresh_token"].as_str().unwrap().to_owned(),
            // Gone, or not there yet: asking again is always right.
            0 | 503 => assert!(begun.elapsed() < Duration::from_secs(20), "no service in time"),
            _ => panic!("signed out: {status} {body}"),
        }
        pause();
    }
}

#[test]
fn it_starts_and_stops_with_the_server() {
    let folder = Folder::new();
    let server = folder.serve();
    let postmaster = folder.postmaster().unwrap();
    assert!(is_alive(postmaster));
    let (status, tokens) = server.login("admin", PASSWORD);
    assert_eq!(status, 200, "{tokens}");
    let begun = Instant::now();
    server.signal(Signal::SIGTERM);
    // Not ready, but serving: balancers look elsewhere first.
    while server.is_ready() {
        assert!(begun.elapsed() < Duration::from_secs(2));
        pause();
    }
    assert_eq!(server.get("/api/v1/me", tokens["access_token"].as_str().unwrap()).0, 200);
    let (code, printed, _) = server.wait();
    assert_eq!(code, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(printed.contains("doorward serves at http://127.0.0.1:"), "{printed}");
    assert!(!is_alive(postmaster) && folder.postmaster().is_none(), "stopped in good order");
}

#[test]
fn every_session_still_refreshes_after_a_kill_of_either() {
    let folder = Folder::new();
    let mut server = folder.serve();
    let mut chains: Vec<String> = (0..4)
        .map(|_| server.login("admin", PASSWORD).1["refresh_token"].as_str().unwrap().to_owned())
        .collect();
    for round in 0..3 {
        // Under load: each chain refreshes on while the blow falls.
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
fn postgresql_goes_with_a_killed_server() {
    let folder = Folder::new();
    let server = folder.serve();
    let postmaster = folder.postmaster().unwrap();
    server.signal(Signal::SIGKILL);
    server.wait();
    let begun = Instant::now();
    while is_alive(postmaster) {
        assert!(begun.elapsed() < Duration::from_secs(10), "the orphan lives");
        pause();
    }
}

#[test]
fn a_second_server_on_the_folder_is_told_so() {
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
fn a_folder_of_another_version_is_named_with_both() {
    let folder = Folder::new();
    folder.ok(&["migrate"]);
    let version = folder.data_dir().join("postgres/PG_VERSION");
    fs::write(&version, "9\n").unwrap();
    let said = folder.fails(&["serve"]);
    assert!(said.contains("made by PostgreSQL 9"), "{said}");
}

#[test]
fn a_stale_pid_file_of_another_process_is_no_obstacle() {
    let folder = Folder::new();
    folder.ok(&["migrate"]);
    let own = std::process::id();
    let stale = format!("{own}\n/nowhere\n1700000000\n5432\n/nowhere\n\n  1 1\nready\n");
    fs::write(folder.data_dir().join("postgres/postmaster.pid"), stale).unwrap();
    let server = folder.serve();
    assert!(server.is_ready());
}

#[test]
fn without_programs_it_says_what_to_install() {
    if std::path::Path::new("/usr/lib/postgresql").exists() || std::path::Path::new("/usr/pgsql").exists() {
        // Found where distributions put them, whatever PATH says: then a start without PATH works.
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
fn a_folder_whose_name_no_socket_can_have_has_its_socket_elsewhere() {
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
fn a_full_disk_is_called_that_and_leaves_nothing_half_made() {
    let folder = Folder::new();
    let small = folder.path().join("small");
    fs::create_dir(&small).unwrap();
    let Some(disk) = SmallDisk::mount(&small, 20) else { return };
    let data = small.join("data");
    let said = folder.fails(&["migrate", "--data-dir", data.to_str().unwrap()]);
    assert!(said.contains("no space is left"), "{said}");
    let left: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let is_cluster = |name: &str| name == "postgres" || name.starts_with("postgres.unfinished");
    assert!(!left.iter().any(|name| is_cluster(&name.to_string_lossy())), "{left:?}");
    drop(disk);
}
