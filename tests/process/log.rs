//! A log that no one reads does not stop the server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::support::{Folder, pause};

/// Sends this many requests on one connection. Returns how many were answered.
fn answers(port: u16, requests: usize) -> usize {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = [0; 4096];
    let mut ask = || {
        stream.write_all(b"GET /api/v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n").ok()?;
        stream.read(&mut answer).ok().filter(|read| *read > 0)
    };
    (0..requests).take_while(|_| ask().is_some()).count()
}

#[test]
fn unread_log_does_not_block_and_dropped_lines_are_counted() {
    let folder = Folder::new();
    let mut command = folder.command(&["serve"]);
    command.env("DOORWARD_LOG", "trace,actix_http=trace");
    // Its standard error is a pipe of 64 KiB, which is full after a few of these requests.
    let mut server = folder.serve_as(command);
    assert_eq!(answers(server.port, 2_000), 2_000);
    let dropped = || {
        let metrics = folder.metrics();
        let line = metrics.lines().find(|line| line.starts_with("doorward_log_lines_dropped_total "));
        line.is_some_and(|line| !line.ends_with(" 0"))
    };
    let started = Instant::now();
    while !dropped() {
        assert!(started.elapsed() < Duration::from_secs(10), "nothing was dropped, or it was not counted");
        pause();
    }
    server.signal(Signal::SIGTERM);
    let started = Instant::now();
    let code = loop {
        if let Some(code) = server.ended() {
            break code;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "it does not end");
        pause();
    };
    assert_eq!(code, Some(0));
}

#[test]
fn unreadable_proxy_header_is_reported_once_and_escaped() {
    let folder = Folder::new();
    let mut command = folder.command(&["serve"]);
    command.env("DOORWARD_TRUSTED_PROXIES", "127.0.0.1").env("DOORWARD_LOG", "info");
    let server = folder.serve_as(command);
    let ask = |headers: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let head = b"GET /api/v1/nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
        stream.write_all(&[head.as_slice(), headers, b"\r\n\r\n"].concat()).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    };
    for _ in 0..3 {
        ask(b"x-forwarded-for: no \xff address");
        ask(b"x-forwarded-for: 192.0.2.1\r\nforwarded: for=192.0.2.2");
        ask(&[b"x-forwarded-for: ".as_slice(), &[b'x'; 9_000]].concat());
    }
    let metrics = folder.metrics();
    for (reason, count) in [("unreadable", 6), ("conflict", 3)] {
        let line = format!("doorward_addresses_in_doubt_total{{reason=\"{reason}\"}} {count}");
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    server.signal(Signal::SIGTERM);
    let (_, _, log) = server.wait();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("does not name a readable client address"), 1, "{log}");
    assert_eq!(lines("name different clients"), 1, "{log}");
    assert_eq!(lines("no \\\\xff address"), 1, "{log}");
    assert!(!log.contains(&"x".repeat(300)), "{log}");
}
