//! Bytes that are not HTTP, unusual HTTP, and connections that send too slowly.

use std::time::{Duration, Instant};

use doorward_test::{PASSWORD, World};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{BODY_MAX, JSON, unharmed};
use crate::http::raw::{Connection, exchange};

/// Returns malformed requests, with the status of the response that comes before the connection is closed. 0
/// means that it is closed without a response.
fn bytes_that_are_no_good_request() -> Vec<(&'static str, Vec<u8>, u16)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let post = |headers: &str, body: &str| {
        text(&format!(
            "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\n{headers}\r\n{body}"
        ))
    };
    let get = |headers: &str| text(&format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{headers}\r\n"));
    vec![
        ("two lengths", post("content-length: 2\r\ncontent-length: 3\r\n", "{}"), 400),
        ("two lengths that are the same", post("content-length: 2\r\ncontent-length: 2\r\n", "{}"), 400),
        ("a list of lengths", post("content-length: 2, 2\r\n", "{}"), 400),
        ("a length with a sign", post("content-length: +2\r\n", "{}"), 400),
        ("a negative length", post("content-length: -1\r\n", "{}"), 400),
        ("a length beyond 64 bits", post("content-length: 18446744073709551616\r\n", "{}"), 400),
        (
            "a length and chunks",
            post("content-length: 2\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "chunks and a length",
            post("transfer-encoding: chunked\r\ncontent-length: 2\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "two encodings",
            post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        ("an encoding around chunks", post("transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400),
        ("chunks that are none", post("transfer-encoding: xchunked\r\n", "0\r\n\r\n"), 400),
        ("chunks before a space", post("transfer-encoding : chunked\r\n", "0\r\n\r\n"), 400),
        ("a chunk's size that is none", post("transfer-encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), 400),
        ("a negative chunk", post("transfer-encoding: chunked\r\n", "-1\r\n{}\r\n0\r\n\r\n"), 400),
        (
            "a chunk beyond 64 bits",
            post("transfer-encoding: chunked\r\n", "fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
            400,
        ),
        ("a chunk longer than it says", post("transfer-encoding: chunked\r\n", "1\r\n{}\r\n0\r\n\r\n"), 400),
        ("two hosts", get("host: y\r\n"), 400),
        ("no host", text("GET /healthz HTTP/1.1\r\n\r\n"), 400),
        ("a header without a name", get(": x\r\n"), 400),
        ("a header that is folded", get("x-a: b\r\n c\r\n"), 400),
        ("a NUL in a header", b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-a: \0\r\n\r\n".to_vec(), 400),
        ("a line break in a header", get("x-a: b\rx-c: d\r\n"), 400),
        ("200 headers", get(&"x-a: b\r\n".repeat(200)), 431),
        ("a header of 200 KB", get(&format!("x-a: {}\r\n", "b".repeat(200_000))), 431),
        ("a path of 200 KB", text(&format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(200_000))), 431),
        ("a path of 70 KB", text(&format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000))), 400),
        ("a space in the path", text("GET /a b HTTP/1.1\r\nhost: x\r\n\r\n"), 400),
        ("a NUL in the path", b"GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), 400),
        ("no path", text("GET HTTP/1.1\r\nhost: x\r\n\r\n"), 400),
        ("no version", text("GET /healthz\r\n\r\n"), 400),
        ("HTTP/2 as text", text("GET /healthz HTTP/2.0\r\nhost: x\r\n\r\n"), 400),
        ("HTTP/2's preface", text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400),
        ("HTTP/9.9", text("GET /healthz HTTP/9.9\r\nhost: x\r\n\r\n"), 400),
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), 400),
        ("SSH", text("SSH-2.0-OpenSSH_9.9\r\n"), 400),
        ("bytes", vec![0xff; 1_000], 400),
        ("NULs", vec![0; 1_000], 400),
        ("a method of 200 KB", vec![b'A'; 200_000], 431),
        (
            "chunks over HTTP/1.0",
            text("POST /api/v1/auth/login HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        ("a post without a length over HTTP/1.0", text("POST /api/v1/auth/login HTTP/1.0\r\n\r\n"), 400),
    ]
}

#[actix_web::test]
async fn invalid_http_gets_one_short_response_and_a_closed_connection() {
    let world = World::new().await;
    world.user("alice", "member");
    let host = world.base.strip_prefix("http://").unwrap();
    for (what, bytes, status) in bytes_that_are_no_good_request() {
        let started = Instant::now();
        // A second request sent with the first must never be answered, because that would be request
        // smuggling.
        let smuggled = b"GET /api/v1/smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
        let answer = exchange(host, &[&bytes[..], smuggled].concat()).await;
        assert_eq!(answer.status(), status, "{what}: {}", answer.text());
        assert!(answer.is_closed, "{what}: {}", answer.text());
        assert_eq!(answer.text().matches("HTTP/1.1 ").count(), 1, "{what}: {}", answer.text());
        assert!(!answer.text().contains("smuggled"), "{what}: {}", answer.text());
        assert!(started.elapsed() < Duration::from_secs(5), "{what}: {:?}", started.elapsed());
    }
    unharmed(&world).await;
}

#[actix_web::test]
async fn unusual_valid_requests_are_answered_correctly() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let host = world.base.strip_prefix("http://").unwrap();
    let login = json!({ "username": "alice", "password": PASSWORD }).to_string();
    let length = login.len();
    let bearer = format!("authorization: Bearer {}\r\n", tokens.access);
    let get = |line: &str, headers: &str| format!("{line}\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    let post = |headers: &str, body: &str| {
        format!(
            "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {JSON}\r\n{headers}\r\n{body}"
        )
    };
    let chunked = |size: usize| {
        let body = login.clone() + &" ".repeat(size - length);
        let chunk = |bytes: &[u8]| format!("{:x}\r\n{}\r\n", bytes.len(), String::from_utf8_lossy(bytes));
        let chunks: String = body.as_bytes().chunks(BODY_MAX / 4).map(chunk).collect();
        post("transfer-encoding: chunked\r\n", &format!("{chunks}0\r\n\r\n"))
    };
    let cases = [
        ("HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n".to_owned(), 200, ""),
        ("an absolute target", get("GET http://evil.example/api/v1/me HTTP/1.1", &bearer), 200, "alice"),
        (
            "an absolute target unguarded",
            get("GET http://evil.example/api/v1/me HTTP/1.1", ""),
            401,
            "credentials_missing",
        ),
        ("a host that is not ours", get("GET /api/v1/nothing HTTP/1.1", ""), 404, "not_found"),
        ("the server itself", get("OPTIONS * HTTP/1.1", ""), 404, "not_found"),
        ("a tunnel", get("CONNECT evil.example:443 HTTP/1.1", ""), 404, "not_found"),
        ("a method of nobody", get("BREW /api/v1/me HTTP/1.1", &bearer), 405, "method_not_allowed"),
        ("TRACE", get("TRACE /api/v1/me HTTP/1.1", &bearer), 405, "method_not_allowed"),
        ("a method in small letters", get("get /api/v1/me HTTP/1.1", &bearer), 405, "method_not_allowed"),
        (
            "a websocket",
            get(
                "GET /api/v1/me HTTP/1.1",
                &format!(
                    "{bearer}connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                ),
            ),
            200,
            "alice",
        ),
        (
            "an upgrade to HTTP/2",
            get("GET /healthz HTTP/1.1", "upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"),
            200,
            "",
        ),
        ("dots in the path", get("GET /api/v1/../v1/me HTTP/1.1", &bearer), 404, "not_found"),
        ("an encoded slash", get("GET /api%2fv1%2fme HTTP/1.1", &bearer), 404, "not_found"),
        ("two slashes", get("GET //api/v1/me HTTP/1.1", &bearer), 404, "not_found"),
        ("a slash at the end", get("GET /api/v1/me/ HTTP/1.1", &bearer), 404, "not_found"),
        ("a NUL in the path", get("GET /api/v1/me%00 HTTP/1.1", &bearer), 404, "not_found"),
        (
            "chunks",
            post(
                "transfer-encoding: chunked\r\n",
                &format!("{length:x};x=y\r\n{login}\r\n0\r\nx-trailer: y\r\n\r\n"),
            ),
            200,
            "access_token",
        ),
        (
            "chunks that end too soon",
            post("transfer-encoding: chunked\r\n", "1\r\n{\r\n0\r\n\r\n"),
            400,
            "malformed_json",
        ),
        ("chunks as large together as a body may be", chunked(BODY_MAX), 200, "access_token"),
        ("chunks that are a byte larger together", chunked(BODY_MAX + 1), 413, "payload_too_large"),
        ("a length and a body", post(&format!("content-length: {length}\r\n"), &login), 200, "access_token"),
        (
            "identity",
            post(&format!("content-encoding: identity\r\ncontent-length: {length}\r\n"), &login),
            200,
            "access_token",
        ),
        (
            "a body that is far too large",
            post("content-length: 10000000000\r\n", "{"),
            413,
            "payload_too_large",
        ),
        (
            "the same, asking first",
            post("content-length: 10000000000\r\nexpect: 100-continue\r\n", ""),
            413,
            "payload_too_large",
        ),
        (
            "a good one, asking first",
            post(&format!("content-length: {length}\r\nexpect: 100-continue\r\n"), &login),
            200,
            "access_token",
        ),
        (
            "an upgrade that is ignored",
            post(&format!("upgrade: websocket\r\ncontent-length: {length}\r\n"), &login),
            200,
            "access_token",
        ),
        ("the same without a body", post("upgrade: websocket\r\n", ""), 400, "malformed_json"),
        (
            "an expectation of nobody",
            post(&format!("content-length: {length}\r\nexpect: 200-maybe\r\n"), &login),
            200,
            "access_token",
        ),
    ];
    for (what, bytes, status, said) in cases {
        let answer = exchange(host, bytes.as_bytes()).await;
        assert_eq!(answer.status(), status, "{what}: {}", answer.text());
        assert!(answer.text().contains(said), "{what}: {}", answer.text());
        assert!(answer.is_closed && !answer.text().contains("evil"), "{what}: {}", answer.text());
        assert!(!answer.text().contains(" 101 "), "{what}: nothing is upgraded");
    }
    unharmed(&world).await;
}

#[actix_web::test]
async fn slow_clients_are_cut_off_while_others_are_served() {
    let world = World::new().await;
    world.user("alice", "member");
    let host = world.base.strip_prefix("http://").unwrap();
    let fast = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let long = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n";
    // Each case has the bytes sent at once, the byte sent repeatedly after them, the last response's status,
    // and the time limit in seconds. After a response the server keeps reading chunks, in case another
    // request follows.
    let cases = [
        ("nothing", String::new(), "", 408, 5),
        ("a head", "GET /healthz HTTP/1.1\r\nx-a: ".to_owned(), "a", 408, 5),
        ("a body", long.to_owned(), " ", 400, 10),
        (
            "a body of chunks",
            long.replace("content-length: 60000", "transfer-encoding: chunked"),
            "1\r\n \r\n",
            400,
            40,
        ),
        // In these cases the first request is answered, and nothing after it.
        ("the second head", format!("{fast}GET /healthz HTTP/1.1\r\nx-a: "), "a", 200, 30),
        ("the second request's body", format!("{fast}{long}"), " ", 400, 10),
        (
            "a body that nobody asked for",
            fast.replace("\r\n\r\n", "\r\ncontent-length: 60000\r\n\r\n"),
            "a",
            200,
            10,
        ),
        (
            "chunks that nobody asked for",
            fast.replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n"),
            "1\r\na\r\n",
            200,
            30,
        ),
    ];
    let dawdlers = cases.iter().map(|(what, bytes, more, status, seconds)| async move {
        let started = Instant::now();
        let mut connection = Connection::open(host).await;
        connection.send(bytes.as_bytes()).await;
        let deadline = Duration::from_secs(*seconds + 3);
        let answer = connection.dawdle(more.as_bytes(), deadline).await;
        assert!(answer.is_closed, "{what}: still open after {:?}: {}", started.elapsed(), answer.text());
        assert_eq!(answer.last_status(), *status, "{what}: {}", answer.text());
        assert!(
            started.elapsed() + Duration::from_secs(1)
                > Duration::from_secs((*seconds).min(5) * u64::from(*status != 200)),
            "{what}: {:?}",
            started.elapsed()
        );
    });
    let others = async {
        for _ in 0..50 {
            let started = Instant::now();
            assert_eq!(world.ask(Method::GET, "/healthz").send().await.status, 200);
            assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        world.login("alice").await;
    };
    tokio::join!(join_all(dawdlers), others);
    unharmed(&world).await;
}
