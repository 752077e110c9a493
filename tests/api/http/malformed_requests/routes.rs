//! Paths, queries, headers and cookies of every route.

use doorward_test::Browser;
use futures_util::future::join_all;
use reqwest::Method;

use super::{JSON, everything_open, held, routes, unharmed};
use crate::http::raw::exchange;

/// Values for a parameter in a path.
const IDS: [&str; 14] = [
    "%00",
    "%ff%fe",
    "%",
    "%zz",
    "..",
    "%2e%2e",
    "%2e%2e%2fetc%2fpasswd",
    "..%2f..%2f",
    "..%5c..%5c",
    "%252e%252e",
    "0192d7a0-0000-7000-8000-00000000000g",
    "{0192d7a0-0000-7000-8000-000000000000}",
    "%F0%9F%92%A9",
    "'%20OR%201=1--",
];

#[actix_web::test]
async fn hostile_path_parameters_are_refused_as_client_errors() {
    let world = everything_open().await;
    world.user("alice", "member");
    let admin = world.login("admin").await;
    let host = world.base.strip_prefix("http://").unwrap().to_owned();
    let long = "x".repeat(8_000);
    for id in IDS.iter().copied().chain([long.as_str()]) {
        // The path is sent without normalization, because clients would resolve the dots.
        let parameters = routes("\u{1}").into_iter().filter(|(_, path)| path.contains('\u{1}'));
        let asked = parameters.map(|(method, path)| {
            let path = path.replace('\u{1}', id);
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
                 content-type: {JSON}\r\ncontent-length: 2\r\n\r\n{{}}",
                admin.access
            );
            let host = &host;
            async move { (exchange(host, head.as_bytes()).await, format!("{method} {path:.80}")) }
        });
        for (answer, what) in join_all(asked).await {
            let status = answer.status();
            assert!(matches!(status, 303 | 307 | 308 | 400..=499), "{what}: {}", answer.text());
            assert!(!answer.text().contains("root:"), "{what}");
        }
    }
    unharmed(&world).await;
}

#[actix_web::test]
async fn hostile_queries_headers_and_cookies_cause_no_server_error() {
    let world = everything_open().await;
    world.user("alice", "member");
    let admin = world.login("admin").await;
    let browser = Browser::signed_in(&world, "admin").await;
    let cookie = browser.cookies["doorward"].clone();
    let id = "0192d7a0-0000-7000-8000-000000000000";
    let mut altered = cookie.clone();
    altered.replace_range(..1, if altered.starts_with('A') { "B" } else { "A" });
    let long = "x".repeat(20_000);
    let queries = [
        "?%00".to_owned(),
        "?q=%00".to_owned(),
        "?q=%ff%fe".to_owned(),
        "?q=%ED%A0%80".to_owned(),
        "?limit=99999999999999999999".to_owned(),
        "?limit=-1&cursor=%00".to_owned(),
        "?cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        "?since=1e400&actor=%F0%9F%92%A9&type='".to_owned(),
        "?next=//evil.example&next=/%09/evil".to_owned(),
        "?&&&===;;;".to_owned(),
        format!("?q={}", "%25".repeat(5_000)),
        format!("?{}", "a=1&".repeat(4_000)),
        format!("?{long}"),
    ];
    let headers: Vec<(&str, Vec<u8>)> = vec![
        ("cookie", b"doorward=".to_vec()),
        ("cookie", format!("doorward={altered}").into_bytes()),
        ("cookie", format!("doorward={cookie}; doorward={altered}").into_bytes()),
        ("cookie", format!("doorward={long}").into_bytes()),
        ("cookie", b"doorward=%00%ff; =; ;;; a".to_vec()),
        ("cookie", b"\xff\xfe=\xfe".to_vec()),
        ("cookie", "doorward-form=x; ".repeat(1_000).into_bytes()),
        ("accept", b"\xff/\xfe".to_vec()),
        ("accept", b"text/html;q=1e400,*/*;;;q=".to_vec()),
        ("accept", b"text/html".to_vec()),
        ("accept-encoding", b"gzip;q=nonsense, \xff".to_vec()),
        ("if-match", b"\"".repeat(5_000)),
        ("if-none-match", b"W/\"\xff\", *, ,".to_vec()),
        ("x-forwarded-for", b"\xff, 999.999.999.999, ::1::".to_vec()),
        ("forwarded", b"for=\"[::1]:\xff\";;;".to_vec()),
        ("x-forwarded-host", b"evil.example".to_vec()),
        ("x-request-id", b"\x1b[31m\t\"}".to_vec()),
        ("user-agent", vec![0xff; 5_000]),
        ("origin", b"null".to_vec()),
        ("origin", b"https://\xff".to_vec()),
        ("range", b"bytes=0-18446744073709551616,-1".to_vec()),
        ("x-http-method-override", b"DELETE".to_vec()),
        ("upgrade", b"h2c, websocket".to_vec()),
        ("expect", b"200-maybe".to_vec()),
        ("x-large", vec![b'x'; 60_000]),
    ];
    let safe = routes(id).into_iter().filter(|(method, _)| method == Method::GET);
    for (method, path) in safe.filter(|(_, path)| path != "/readyz") {
        for query in &queries {
            for bearer in [true, false] {
                let ask = world.ask(method.clone(), &format!("{path}{query}"));
                let ask = if bearer {
                    ask.bearer(&admin.access)
                } else {
                    ask.header("cookie", format!("doorward={cookie}"))
                };
                held(&ask.send().await, &format!("{method} {path}{query:.60}"));
            }
        }
        for (name, value) in &headers {
            let value = reqwest::header::HeaderValue::from_bytes(value);
            // No header may contain a control character, neither in this client nor in the server.
            let Ok(value) = value else { continue };
            let answer = world.ask(method.clone(), &path).bytes_header(name, value.clone()).send().await;
            held(&answer, &format!("{method} {path}: {name}"));
            assert!(
                !answer
                    .headers
                    .values()
                    .any(|header| header.as_bytes().windows(4).any(|four| four == b"evil")),
                "{path}: {name}: {:?}",
                answer.headers
            );
        }
    }
    unharmed(&world).await;
}
