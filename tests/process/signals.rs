//! Signals. Some stop a server in order, and the others lose no running request.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use doorward_test::PASSWORD;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::Folder;

/// Sends a sign-in without its last part.
fn begin_login(port: u16) -> (TcpStream, String) {
    let body = json!({ "username": "admin", "password": PASSWORD }).to_string();
    let (sent, rest) = body.split_at(body.len() / 2);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json";
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{sent}", body.len()).unwrap();
    (stream, rest.to_owned())
}

fn finish((mut stream, rest): (TcpStream, String)) -> String {
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn other_signals_neither_stop_the_server_nor_lose_requests() {
    let folder = Folder::new();
    let mut server = folder.serve();
    let postmaster = folder.postmaster();
    for signal in [
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
        Signal::SIGIO,
        Signal::SIGVTALRM,
        Signal::SIGPROF,
        Signal::SIGXCPU,
        Signal::SIGXFSZ,
        #[cfg(target_os = "linux")]
        Signal::SIGPWR,
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        Signal::SIGSTKFLT,
    ] {
        let in_flight = begin_login(server.port);
        server.signal(signal);
        assert_eq!(finish(in_flight), "HTTP/1.1 200 OK", "{signal}");
        assert!(server.ended().is_none(), "{signal}");
    }
    for signal in ["RTMIN", "RTMIN+1", "RTMAX"].iter().filter(|_| cfg!(target_os = "linux")) {
        let in_flight = begin_login(server.port);
        let sent = Command::new("bash").arg("-c").arg(format!("kill -{signal} {}", server.pid())).status();
        assert!(sent.unwrap().success(), "{signal}");
        assert_eq!(finish(in_flight), "HTTP/1.1 200 OK", "{signal}");
        assert!(server.ended().is_none(), "{signal}");
    }
    assert_eq!(folder.postmaster(), postmaster);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().0, Some(0));
}

#[test]
fn sigquit_stops_the_server_gracefully() {
    let folder = Folder::new();
    let server = folder.serve();
    let in_flight = begin_login(server.port);
    server.signal(Signal::SIGQUIT);
    assert_eq!(finish(in_flight), "HTTP/1.1 200 OK");
    assert_eq!(server.wait().0, Some(0));
    assert!(folder.postmaster().is_none(), "PostgreSQL stopped in good order");
}

#[test]
fn ignored_signal_is_logged() {
    let folder = Folder::new();
    let server = folder.serve_as(folder.command(&["serve", "--log", "info"]));
    server.signal(Signal::SIGHUP);
    // The response came after the signal was logged.
    assert_eq!(server.login("admin", PASSWORD).0, 200);
    server.signal(Signal::SIGTERM);
    let (_, _, log) = server.wait();
    assert!(
        log.lines().any(|line| line.contains("SIGHUP") && line.contains("this signal reloads nothing")),
        "{log}"
    );
}
