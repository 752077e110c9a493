//! Measures the server's CPU time for the worst input to each reader of a stranger's bytes, beside a plain
//! request of the same size. Both are refused before a password is hashed.

use std::fs;

use crate::client::Connection;

/// The number of requests of each kind that are measured.
const REQUESTS: u32 = 500;
/// The number of requests of each kind that are sent before as a warm-up.
const BEFORE: u32 = 50;
/// The size of a body, in bytes.
const BODY: usize = 64 * 1024;
/// The size of a request line or of the headers, in bytes. It stays below the HTTP parser's limit together
/// with the rest.
const HEAD: usize = 60 * 1024;

/// A plain request, and requests of the same size that are meant to cost more.
struct Reader {
    name: &'static str,
    plain: Vec<u8>,
    bad: Vec<(&'static str, Vec<u8>)>,
}

/// Prints `reader|plain|worst|ratio|what` for each reader of the server with this process id, with the times
/// in microseconds.
pub async fn measure(address: &str, process: u32) {
    for reader in [json(), form(), multipart(), query(), headers(), cookie()] {
        let plain = cpu_of(address, process, &reader.plain).await;
        let mut worst = ("", 0.0);
        for (what, request) in &reader.bad {
            let cpu = cpu_of(address, process, request).await;
            if cpu > worst.1 {
                worst = (what, cpu);
            }
        }
        println!("{}|{plain:.0}|{:.0}|{:.2}|{}", reader.name, worst.1, worst.1 / plain, worst.0);
    }
}

/// Returns the CPU time of all of the server's threads for a request, in microseconds.
async fn cpu_of(address: &str, process: u32, request: &[u8]) -> f64 {
    let mut connection = Connection::open(address).await;
    let mut send = async |count: u32| {
        for _ in 0..count {
            let (status, _) = connection.send(request).await;
            assert!((200..500).contains(&status), "{status}");
        }
    };
    send(BEFORE).await;
    let started = cpu(process);
    send(REQUESTS).await;
    (cpu(process) - started) as f64 / 1e3 / f64::from(REQUESTS)
}

/// Returns the CPU time of a process's threads, in nanoseconds.
fn cpu(process: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("a process");
    let of = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or_default()
    };
    threads.flatten().map(of).sum()
}

fn post(path: &str, content_type: &str, body: &str) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nsec-fetch-site: same-origin\r\ncontent-type: {content_type}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    (head + body).into_bytes()
}

fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").into_bytes()
}

/// Returns a text with as many items as fit between head and tail.
fn filled(size: usize, head: &str, item: impl Fn(usize) -> String, tail: &str) -> String {
    let mut text = head.to_owned();
    for number in 0.. {
        let item = item(number);
        if text.len() + item.len() + tail.len() > size {
            break;
        }
        text += &item;
    }
    text + tail
}

fn json() -> Reader {
    let of = |body: String| post("/api/v1/auth/login", "application/json", &body);
    let list = |item: &'static str| {
        let item = move |number: usize| if number == 0 { item.to_owned() } else { format!(",{item}") };
        of(filled(BODY, "{\"scope\":[", item, "]}"))
    };
    let names = "{\"~~~\":".replace("~~~", &"~".repeat(100)).repeat(120);
    let repeated = |number: usize| if number == 0 { "\"a\":1" } else { ",\"a\":1" }.to_owned();
    let members = |number: usize| format!("{}\"{number:x}\":1", if number == 0 { "" } else { "," });
    Reader {
        name: "JSON",
        plain: of(format!("{{\"username\":\"{}\"}}", "a".repeat(BODY - 20))),
        bad: vec![
            (
                "one name again and again, below long ones",
                of(filled(BODY, &format!("{names}{{"), repeated, &"}".repeat(121))),
            ),
            ("different names", of(filled(BODY, "{", members, "}"))),
            ("numbers", list("1")),
            ("objects", list("{\"a\":1}")),
            ("lists", list("[1]")),
            ("escapes", of(filled(BODY, "{\"username\":\"", |_| "\\u00e9".to_owned(), "\"}"))),
            ("brackets", of(filled(BODY, "", |_| "[".to_owned(), ""))),
        ],
    }
}

fn form() -> Reader {
    let of = |body: String| post("/login", "application/x-www-form-urlencoded", &body);
    Reader {
        name: "form",
        plain: of(format!("username={}", "a".repeat(BODY - 20))),
        bad: vec![
            ("one name again and again", of(filled(BODY, "", |_| "a&".to_owned(), ""))),
            ("different names", of(filled(BODY, "", |number| format!("{number:x}&"), ""))),
            ("separators", of("&".repeat(BODY))),
            ("escapes", of(filled(BODY, "username=", |_| "%41".to_owned(), ""))),
        ],
    }
}

fn multipart() -> Reader {
    let of = |body: String| post("/api/token/", "multipart/form-data; boundary=x", &body);
    let head = "--x\r\ncontent-disposition: form-data; name=username";
    let part = |value: &str| format!("{head}\r\n\r\n{value}\r\n");
    Reader {
        name: "multipart",
        plain: of(format!("{}--x--", part(&"a".repeat(BODY - 100)))),
        bad: vec![
            ("parts", of(filled(BODY, "", |_| part("a"), "--x--"))),
            ("parts without a head", of(filled(BODY, "", |_| "--x\r\n".to_owned(), ""))),
            ("half delimiters", of(format!("{}--x--", part(&"\r\n--".repeat(BODY / 4 - 30))))),
            ("a head of parameters", of(format!("{head}{}\r\n\r\na\r\n--x--", ";".repeat(BODY - 100)))),
            ("lines", of(format!("--x\r\n{}\r\n--x--", "a:b\r\n".repeat(BODY / 5 - 10)))),
        ],
    }
}

fn query() -> Reader {
    let of = |query: String| get(&format!("/login?{query}"), "");
    Reader {
        name: "query",
        plain: of(format!("next={}", "a".repeat(HEAD))),
        bad: vec![
            ("one name again and again", of(filled(HEAD, "", |_| "a&".to_owned(), ""))),
            ("different names", of(filled(HEAD, "", |number| format!("{number:x}&"), ""))),
            ("separators", of("&".repeat(HEAD))),
            ("escapes", of(filled(HEAD, "next=", |_| "%41".to_owned(), ""))),
            ("a path", get(&format!("/set-password/{}", "a".repeat(HEAD)), "")),
            ("a path of escapes", get(&filled(HEAD, "/api/v1/notes/", |_| "%41".to_owned(), ""), "")),
        ],
    }
}

fn headers() -> Reader {
    let of = |name: &str, value: String| get("/api/v1/me", &format!("{name}: {value}\r\n"));
    Reader {
        name: "headers",
        plain: of("x-plain", "a".repeat(HEAD)),
        bad: vec![
            ("Authorization: a token", of("authorization", format!("Bearer {}", "a".repeat(HEAD)))),
            ("Authorization: parts", of("authorization", format!("Bearer {}", "a.".repeat(HEAD / 2)))),
            ("Authorization: words", of("authorization", "a ".repeat(HEAD / 2))),
            ("Authorization: Basic", of("authorization", format!("Basic {}", "YTph".repeat(HEAD / 4)))),
            ("X-Forwarded-For", of("x-forwarded-for", "127.0.0.1,".repeat(HEAD / 10))),
            ("Forwarded: addresses", of("forwarded", "for=127.0.0.1,".repeat(HEAD / 14))),
            ("Forwarded: parameters", of("forwarded", ";".repeat(HEAD))),
            (
                "headers",
                get(
                    "/api/v1/me",
                    &filled(HEAD, "", |number| format!("x-{number:02}: {}\r\n", "a".repeat(700)), ""),
                ),
            ),
        ],
    }
}

fn cookie() -> Reader {
    let of = |value: String| get("/api/v1/me", &format!("cookie: {value}\r\n"));
    Reader {
        name: "cookie",
        plain: of(format!("a={}", "a".repeat(HEAD))),
        bad: vec![
            ("cookies", of("a=;".repeat(HEAD / 3))),
            ("separators", of(";".repeat(HEAD))),
            ("ours", of("doorward=a;".repeat(HEAD / 11))),
            ("escapes", of(format!("doorward={}", "%41".repeat(HEAD / 3)))),
        ],
    }
}
