//! Thousands of connections that send nothing, too little or nonsense. Memory stays bounded, nothing panics,
//! and others are served.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::support::{Folder, Server, ask};

const CONNECTIONS: usize = 1_000;
/// The memory in bytes that the server may use for all of them.
const MEMORY: u64 = CONNECTIONS as u64 * 200 * 1024;

/// Raises this process's limit of open files, because it has the other ends of the connections.
fn open_more_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

fn memory(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn open(server: &Server, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    (0..count).map(open).collect()
}

/// Reads until the server closes the connection or the deadline passes. Returns whether it was closed.
fn is_closed_by(stream: &mut TcpStream, deadline: Instant) -> bool {
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left)).unwrap();
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            Err(_) => return true,
        }
    }
}

/// Checks that another client is served while the connections are open.
#[track_caller]
fn serves(server: &Server) {
    let started = Instant::now();
    assert_eq!(ask(server.port, "GET", "/healthz", "", None).0, 200);
    assert_eq!(server.get("/api/v1/me", "nonsense").0, 401);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn thousand_slow_connections_use_little_memory_and_are_closed() {
    open_more_files();
    let folder = Folder::new();
    let server = folder.serve();
    serves(&server);
    let before = memory(&server);
    let body = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n";
    let large_head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: {}", "a".repeat(30_000));
    let large_body = format!("{body}{}", " ".repeat(50_000));
    for (what, bytes, seconds) in [
        ("nothing", Vec::new(), 5),
        ("half a head", b"GET /healthz HTTP/1.1\r\nhost:".to_vec(), 5),
        ("half a large head", large_head.into_bytes(), 5),
        ("half a large body", large_body.into_bytes(), 10),
        ("nonsense", vec![0xff; 100], 5),
    ] {
        let started = Instant::now();
        let mut streams = open(&server, CONNECTIONS, &bytes);
        serves(&server);
        let grown = memory(&server).saturating_sub(before);
        assert!(grown < MEMORY, "{what}: {} MiB more", grown >> 20);
        let deadline = started + Duration::from_secs(seconds + 10);
        let open =
            streams.iter_mut().map(|stream| is_closed_by(stream, deadline)).filter(|closed| !closed).count();
        assert_eq!(open, 0, "{what}: still open after {:?}", started.elapsed());
        serves(&server);
    }
    // Connections that were served may stay open for a while, and also cost little memory.
    let idle = open(&server, CONNECTIONS, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    serves(&server);
    let grown = memory(&server).saturating_sub(before);
    assert!(grown < MEMORY, "idle connections: {} MiB more", grown >> 20);
    let metrics = folder.metrics();
    assert!(!metrics.contains("code=\"internal_error\"") && !metrics.contains("status=\"500\""), "{metrics}");
    server.signal(Signal::SIGTERM);
    let started = Instant::now();
    let (code, _, said) = server.wait();
    assert_eq!(code, Some(0), "{said}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(said, "", "what strangers send fills no log");
    drop(idle);
}

#[test]
fn slow_and_idle_connections_do_not_delay_the_shutdown() {
    open_more_files();
    let folder = Folder::new();
    let server = folder.serve();
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n";
    let idle = open(&server, CONNECTIONS, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut slow = open(&server, 250, b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ");
    slow.extend(open(&server, 250, format!("{head}{{").as_bytes()));
    serves(&server);
    server.signal(Signal::SIGTERM);
    let started = Instant::now();
    let waiting = std::thread::spawn(move || server.wait());
    // Send a byte at a time for as long as the server reads.
    while !waiting.is_finished() {
        slow.retain_mut(|stream| stream.write_all(b"a").is_ok());
        std::thread::sleep(Duration::from_millis(200));
    }
    let (code, _, said) = waiting.join().unwrap();
    assert_eq!(code, Some(0), "{said}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    drop(idle);
}

#[test]
fn connections_beyond_the_file_limit_are_queued() {
    open_more_files();
    let folder = Folder::new();
    let server = folder.serve_with_files(320);
    let mut streams = open(&server, 500, b"");
    let started = Instant::now();
    // The next connection in the queue is served as soon as the first of the earlier ones are cut off.
    assert_eq!(ask(server.port, "GET", "/healthz", "", None).0, 200);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    let deadline = started + Duration::from_secs(30);
    assert!(streams.iter_mut().all(|stream| is_closed_by(stream, deadline)));
    server.signal(Signal::SIGTERM);
    let (code, _, said) = server.wait();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("panic") && !said.contains("Too many open files"), "{said}");
}
