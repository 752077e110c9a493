//! Hostile input: every route, every part of a request, and bytes that are not HTTP. Each is refused with a
//! clear message, or its connection is closed, within its deadline, and never with a 5xx.

use std::time::{Duration, Instant};

use doorward::config::{Registration, SimplejwtRoutes};
use doorward::refusal::Code;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::http::raw::{Connection, exchange};
use crate::support::{Answer, Ask, Browser, PASSWORD, World};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
/// The maximum size of a body in bytes.
const BODY_MAX: usize = 64 * 1024;

async fn everything_open() -> World {
    World::with(|settings| {
        settings.registration = Registration::Open;
        settings.simplejwt_routes = SimplejwtRoutes::On;
    })
    .await
}

/// Returns every path with its methods. `id` replaces its parameters.
fn routes(id: &str) -> Vec<(Method, String)> {
    let endpoints = doorward::app::routes(SimplejwtRoutes::On);
    let of = |endpoint: &doorward::http::routing::Endpoint| {
        let mut path = endpoint.path().to_owned();
        while let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
            path.replace_range(from..=to, id);
        }
        let methods = endpoint.methods().into_iter();
        methods
            .map(|method| (Method::from_bytes(method.as_str().as_bytes()).unwrap(), path.clone()))
            .collect::<Vec<_>>()
    };
    endpoints.iter().flat_map(of).collect()
}

/// Checks that an answer is one of doorward's and not a server error. A refusal of an API request must be a
/// complete problem.
#[track_caller]
fn held(answer: &Answer, what: &str) {
    assert!(answer.status < 500, "{what}: {} {}", answer.status, answer.body);
    let is_problem = answer.header("content-type") == Some("application/problem+json");
    if is_problem {
        let code = answer.text("code");
        let code = Code::parse(&code).unwrap_or_else(|| panic!("{what}: {code} is in no catalogue"));
        assert_eq!(answer.status, code.status().as_u16(), "{what}: {}", answer.body);
    }
    let size = answer.body.to_string().len();
    assert!(answer.status < 400 || size < 64 * 1024, "{what}: a refusal of {size} bytes");
}

/// Checks that nothing panicked, that there was no server error, and that other requests are served.
async fn unharmed(world: &World) {
    assert_eq!(world.ask(Method::GET, "/healthz").send().await.status, 200);
    world.state.recorder.refusal_counts.flush(&world.state.core.database).await.expect("the database");
    let faults = "SELECT coalesce(sum(count), 0)::bigint AS count FROM refusal_counts
                  WHERE code IN ('internal_error', 'database_unavailable', 'overloaded')";
    assert_eq!(world.count(faults), 0);
    world.login("alice").await;
}

/// Returns bodies that no endpoint accepts, with the code that refuses each.
fn broken_bodies() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let spaces = |length: usize| {
        let mut body = vec![b' '; length - 2];
        body.extend_from_slice(b"[]");
        body
    };
    vec![
        ("nothing", Vec::new(), "malformed_json"),
        ("half an object", text("{\"username\":"), "malformed_json"),
        ("two values", text("{} {}"), "malformed_json"),
        ("a comma too many", text("{\"a\":1,}"), "malformed_json"),
        ("single quotes", text("{'a':1}"), "malformed_json"),
        ("a comment", text("{/* */}"), "malformed_json"),
        ("NaN", text("{\"a\":NaN}"), "malformed_json"),
        ("1e400", text("{\"a\":1e400}"), "malformed_json"),
        ("bytes that are no UTF-8", b"{\"a\":\"\xff\xfe\"}".to_vec(), "malformed_json"),
        ("an overlong NUL", b"{\"a\":\"\xc0\x80\"}".to_vec(), "malformed_json"),
        ("a surrogate in UTF-8", b"{\"a\":\"\xed\xa0\x80\"}".to_vec(), "malformed_json"),
        ("UTF-16", b"\xff\xfe{\0}\0".to_vec(), "malformed_json"),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec(), "malformed_json"),
        ("half a surrogate pair", text(r#"{"a":"\ud83d"}"#), "malformed_json"),
        ("a pair the wrong way", text(r#"{"a":"\udca9\ud83d"}"#), "malformed_json"),
        ("a raw line break in a text", text("{\"a\":\"x\ny\"}"), "malformed_json"),
        ("128 levels", text(&format!("{}{}", "[".repeat(128), "]".repeat(128))), "malformed_json"),
        ("30,000 levels", text(&"{\"a\":".repeat(10_000)), "malformed_json"),
        ("127 levels", text(&format!("{}{}", "[".repeat(127), "]".repeat(127))), "validation_failed"),
        ("a list", text("[]"), "validation_failed"),
        ("null", text("null"), "validation_failed"),
        ("a number", text("18446744073709551616"), "validation_failed"),
        ("a text", text("\"x\""), "validation_failed"),
        ("what nobody knows", text("{\"__proto__\":{\"admin\":true}}"), "validation_failed"),
        ("a name twice", text("{\"nobody\":1,\"nobody\":1}"), "validation_failed"),
        ("the largest that is read", spaces(BODY_MAX), "validation_failed"),
        ("one byte less", spaces(BODY_MAX - 1), "validation_failed"),
        ("one byte more", spaces(BODY_MAX + 1), "payload_too_large"),
        ("3,000 unknown members", many_members(), "validation_failed"),
    ]
}

fn many_members() -> Vec<u8> {
    let members: Vec<String> = (0..3_000).map(|number| format!("\"member{number}\":{number}")).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

/// Returns the endpoints under /api that read JSON, except those for simplejwt.
fn json_routes() -> Vec<(Method, String)> {
    let id = "0192d7a0-0000-7000-8000-000000000000";
    let own_words = |path: &str| path.starts_with("/api/token/");
    let reads_json = |method: &Method| [Method::POST, Method::PUT, Method::PATCH].contains(method);
    let found = routes(id).into_iter();
    found
        .filter(|(method, path)| path.starts_with("/api/") && !own_words(path) && reads_json(method))
        .collect()
}

#[actix_web::test]
async fn every_endpoint_that_reads_json_refuses_what_is_none_with_its_code() {
    let world = everything_open().await;
    world.user("alice", "member");
    let admin = world.login("admin").await;
    let routes = json_routes();
    assert!(routes.len() >= 13, "{routes:?}");
    let bodies = broken_bodies();
    for (method, path) in routes {
        let ask = || world.ask(method.clone(), &path).bearer(&admin.access);
        for (what, body, code) in &bodies {
            // Without a valid body, logout does not know which session to end.
            let answer = ask().header("content-type", JSON).body(body.clone()).send().await;
            let is_signing_out = path == "/api/v1/auth/logout";
            assert_eq!(answer.body["code"], *code, "{method} {path}: {what}: {}", answer.body);
            answer.refused_with(code, "fix_request", false);
            held(&answer, &format!("{method} {path}: {what}"));
            assert!(!is_signing_out || world.get("/api/v1/me", &admin.access).await.status == 200);
        }
        for (what, headers) in [
            ("no type", vec![]),
            ("text", vec![("content-type", "text/plain")]),
            ("a form", vec![("content-type", FORM)]),
            ("no type at all", vec![("content-type", ";;;")]),
            ("two types", vec![("content-type", JSON), ("content-type", "text/plain")]),
            ("two types that are the same", vec![("content-type", JSON), ("content-type", JSON)]),
            ("an encoding", vec![("content-type", JSON), ("content-encoding", "gzip")]),
            ("an unknown encoding", vec![("content-type", JSON), ("content-encoding", "x-nobody")]),
            ("two encodings", vec![("content-type", JSON), ("content-encoding", "identity, gzip")]),
        ] {
            let ask = headers.iter().fold(ask(), |ask, (name, value)| ask.header(name, value));
            let answer = ask.body("{\"a\":1}").send().await;
            assert_eq!(
                answer.body["code"], "unsupported_media_type",
                "{method} {path}: {what}: {}",
                answer.body
            );
            answer.refused("unsupported_media_type");
        }
    }
    unharmed(&world).await;
}

#[actix_web::test]
async fn a_member_sent_twice_is_refused_and_neither_counts() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let admin = world.login("admin").await;
    let json = |ask: Ask, body: &str| ask.header("content-type", JSON).body(body.to_owned());
    let login = || world.ask(Method::POST, "/api/v1/auth/login");
    let twice = format!(r#"{{"username":"alice","username":"admin","password":"{PASSWORD}"}}"#);
    let refused = json(login(), &twice).send().await;
    refused.refused("validation_failed");
    assert_eq!(refused.body["errors"][0]["pointer"], "/username");
    assert_eq!(refused.body["errors"][0]["code"], "duplicate_field");
    let escaped = format!(r#"{{"username":"alice","user\u006eame":"admin","password":"{PASSWORD}"}}"#);
    json(login(), &escaped).send().await.refused("validation_failed");
    // Above all, the second value must not grant more than the first.
    let make = || world.ask(Method::POST, "/api/v1/users").bearer(&admin.access);
    let raised = r#"{"username":"eve","role":"viewer","role":"admin"}"#;
    json(make(), raised).send().await.refused("validation_failed");
    assert_eq!(world.count("SELECT count(*) FROM users WHERE username = 'eve'"), 0);
    let note = world.ask(Method::POST, "/api/v1/notes").bearer(&tokens.access);
    json(note, r#"{"title":"x","body":"","shared":false,"shared":true}"#)
        .send()
        .await
        .refused("validation_failed");
    assert_eq!(world.count("SELECT count(*) FROM notes"), 0);
}

#[actix_web::test]
async fn a_parameter_or_a_field_sent_twice_is_refused_too() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    for query in ["limit=1&limit=2", "shared=true&shared=false", "q=a&q=b", "q=a&%71=b", "cursor=&cursor="] {
        let refused = world.get(&format!("/api/v1/notes?{query}"), &tokens.access).await;
        refused.refused("validation_failed");
        assert_eq!(refused.body["errors"][0]["code"], "duplicate_field", "{query}");
    }
    let mut browser = Browser::new(&world);
    let token = browser.form_token("/login").await;
    for repeated in ["username", "password", "csrf_token"] {
        let mut fields = vec![("csrf_token", token.as_str()), ("username", "alice"), ("password", PASSWORD)];
        fields.push((repeated, "other"));
        assert_eq!(browser.post("/login", &fields).await.status, 422, "{repeated}");
    }
    assert!(!browser.cookies.contains_key("doorward"), "nobody was signed in");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let token = browser.form_token("/account").await;
    let form = [
        ("csrf_token", token.as_str()),
        ("username", "alice"),
        ("username", "mallory"),
        ("current_password", PASSWORD),
    ];
    assert_eq!(browser.post("/account", &form).await.status, 422);
    assert_eq!(world.count("SELECT count(*) FROM users WHERE username = 'mallory'"), 0);
    // Checkboxes send several fields with the same name.
    let new = "/account/tokens/new";
    let fields = [("name", "x"), ("scope", "notes:read"), ("scope", "notes:write"), ("days", "7")];
    assert_eq!(browser.fill_in(new, new, &fields).await.status, 201);
}

#[actix_web::test]
async fn names_and_titles_that_deceive_are_refused_and_what_languages_need_is_kept() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let admin = world.login("admin").await;
    let refused = [
        "a\0b",
        "a\nb",
        "a\r\nb",
        "a\tb",
        "a\u{1b}[31mb",
        "a\u{7f}b",
        "a\u{85}b",
        "a\u{2028}b",
        "\u{202e}nimda",
        "a\u{202a}b",
        "a\u{2066}b",
        "a\u{2069}b",
        "\u{200b}",
        "\u{2060}\u{feff}",
        "   ",
        "",
    ];
    let errors = |answer: &Answer| answer.body["errors"][0]["pointer"].as_str().map(str::to_owned);
    for text in refused {
        let note = world.post("/api/v1/notes", &tokens.access, json!({ "title": text, "body": "" })).await;
        assert_eq!((note.status, errors(&note).as_deref()), (422, Some("/title")), "{text:?}: {}", note.body);
        let token = json!({ "name": text, "scope": "notes:read" });
        let token = world.post("/api/v1/me/tokens", &tokens.access, token).await;
        assert_eq!((token.status, errors(&token).as_deref()), (422, Some("/name")), "{text:?}");
        let login = json!({ "username": "alice", "password": PASSWORD, "device": text });
        let login = world.ask(Method::POST, "/api/v1/auth/login").json(&login).send().await;
        assert_eq!((login.status, errors(&login).as_deref()), (422, Some("/device")), "{text:?}");
        let user = json!({ "username": text });
        let user = world.post("/api/v1/users", &admin.access, user).await;
        assert_eq!((user.status, errors(&user).as_deref()), (422, Some("/username")), "{text:?}");
    }
    // Joiners and direction marks, combining marks, other scripts, and characters beyond the Basic
    // Multilingual Plane.
    for text in ["👩\u{200d}💻", "نامه\u{200c}ها", "שלום\u{200f}", "e\u{301}", "𝔘", "<b>&amp;</b>", "'; --"]
    {
        let note = world.post("/api/v1/notes", &tokens.access, json!({ "title": text, "body": text })).await;
        assert_eq!((note.status, &note.body["title"]), (201, &json!(text)), "{text:?}: {}", note.body);
    }
    // A body has many lines of any text, except NUL.
    let body = "a\n\tb\u{202e}c\u{200b}\u{7}";
    let note = world.post("/api/v1/notes", &tokens.access, json!({ "title": "x", "body": body })).await;
    assert_eq!(note.body["body"], body);
    let nul = world.post("/api/v1/notes", &tokens.access, json!({ "title": "x", "body": "a\0b" })).await;
    nul.refused("validation_failed");
    // A username must not be mistaken for another, so it excludes even characters that a label may have.
    for text in ["a\u{200d}b", "a\u{200e}b", "a b", "\u{301}a"] {
        world
            .post("/api/v1/users", &admin.access, json!({ "username": text }))
            .await
            .refused("validation_failed");
    }
    // Text that is only compared is never stored, and matches no user.
    for text in ["\u{202e}alice", "alice\u{200b}", "alice\0", &"x".repeat(60_000)] {
        let login = json!({ "username": text, "password": PASSWORD });
        let login = world.ask(Method::POST, "/api/v1/auth/login").json(&login).send().await;
        assert!([401, 422].contains(&login.status), "{text:?}: {}", login.body);
    }
}

#[actix_web::test]
async fn lengths_are_held_to_the_character() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let admin = world.login("admin").await;
    let note = |title: usize, body: usize| json!({ "title": "é".repeat(title), "body": "é".repeat(body) });
    let post = async |path: &str, body: Value| world.post(path, &tokens.access, body).await.status;
    let title_max = doorward::resources::notes::note::TITLE_MAX;
    assert_eq!(post("/api/v1/notes", note(title_max, 0)).await, 201);
    assert_eq!(post("/api/v1/notes", note(title_max + 1, 0)).await, 422);
    let token = |length: usize| json!({ "name": "é".repeat(length), "scope": "notes:read" });
    assert_eq!(post("/api/v1/me/tokens", token(100)).await, 201);
    assert_eq!(post("/api/v1/me/tokens", token(101)).await, 422);
    let user = |length: usize| json!({ "username": "é".repeat(length) });
    assert_eq!(world.post("/api/v1/users", &admin.access, user(150)).await.status, 201);
    assert_eq!(world.post("/api/v1/users", &admin.access, user(151)).await.status, 422);
    // A password has at most 1,000 bytes, and all of them count.
    let words: String = (0..1_000).map(|number| format!("{number} words ")).collect();
    let made = |length: usize| json!({ "username": format!("u{length}"), "password": words[..length] });
    assert_eq!(world.post("/api/v1/users", &admin.access, made(1_000)).await.status, 201);
    assert_eq!(world.post("/api/v1/users", &admin.access, made(1_001)).await.status, 422);
    for number in [json!(0), json!(-1), json!(1.5), json!(u64::MAX), json!(1e300), json!("7")] {
        let token = json!({ "name": "x", "scope": "notes:read", "expires_in": number });
        assert_eq!(post("/api/v1/me/tokens", token).await, 422, "{number}");
    }
    let scopes = |count: usize, length: usize| {
        let names: Vec<String> = (0..count).map(|at| format!("{at:0>length$}")).collect();
        json!({ "username": "alice", "password": PASSWORD, "scope": names.join(" ") })
    };
    for (count, length) in [(101, 4), (1, 101), (5_000, 4)] {
        let refused = world.ask(Method::POST, "/api/v1/auth/login").json(&scopes(count, length)).send().await;
        refused.refused("validation_failed");
    }
}

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
async fn every_path_takes_hostile_parameters_for_what_is_not_there() {
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
async fn every_route_takes_hostile_queries_headers_and_cookies_without_a_fault() {
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

#[actix_web::test]
async fn forms_of_every_page_are_refused_as_pages_whatever_they_hold() {
    let world = everything_open().await;
    world.user("alice", "member");
    let id = "0192d7a0-0000-7000-8000-000000000000";
    let pages: Vec<&str> =
        doorward::pages::routes().iter().map(doorward::http::routing::Endpoint::path).collect();
    let forms = doorward::app::routes(SimplejwtRoutes::On);
    let forms = forms.iter().filter(|endpoint| pages.contains(&endpoint.path()));
    let forms = forms.filter(|endpoint| endpoint.methods().iter().any(|method| method.as_str() == "POST"));
    let forms: Vec<String> =
        forms.map(|endpoint| endpoint.path().replace("{id}", id).replace("{token}", id)).collect();
    assert!(forms.len() > 10, "{forms:?}");
    let fields: [&[(&str, &str)]; 6] = [
        &[],
        &[("username", "\0"), ("name", "\0"), ("scope", "\0"), ("days", "99999999999999999999")],
        &[("username", "\u{202e}x"), ("email", "@"), ("current_password", ""), ("next", "//evil.example")],
        &[("", ""), ("=", "&")],
        &[("role", "'; DROP TABLE users; --"), ("status", "\u{fffd}"), ("password", "x")],
        &[("scope", "\u{1}"), ("scope", "a b c"), ("days", "-1"), ("name", "x")],
    ];
    let mut browser = Browser::signed_in(&world, "admin").await;
    let token = browser.form_token("/account").await;
    for path in &forms {
        // These two end the session that the other requests use.
        if ["/logout", "/account/password"].contains(&path.as_str()) {
            continue;
        }
        for more in fields {
            let mut sent = vec![("csrf_token", token.as_str())];
            sent.extend_from_slice(more);
            let answer = browser.post(path, &sent).await;
            held(&answer, &format!("{path}: {more:?}"));
            let location = answer.header("location").unwrap_or("/");
            assert!(location.starts_with('/') && !location.starts_with("//"), "{path}: {location}");
        }
        let ask = |body: Vec<u8>| {
            browser
                .ask(Method::POST, path)
                .header("content-type", FORM)
                .header("sec-fetch-site", "same-origin")
                .body(body)
        };
        for (body, statuses) in [
            (vec![b'x'; BODY_MAX + 1], &[413][..]),
            (vec![b'&'; BODY_MAX], &[403]),
            (b"csrf_token=%ff%fe&csrf_token".to_vec(), &[403, 422]),
        ] {
            let answer = ask(body).send().await;
            // The server checks the link before the fields.
            let is_link = path.starts_with("/set-password/") && answer.status == 404;
            let is_expected = statuses.contains(&answer.status) || is_link;
            assert!(is_expected, "{path}: {} {}", answer.status, answer.body);
        }
    }
    unharmed(&world).await;
}

#[actix_web::test]
async fn simplejwts_routes_refuse_hostile_bodies_in_its_words() {
    let world = everything_open().await;
    world.user("alice", "member");
    for path in ["/api/token/", "/api/token/refresh/", "/api/token/verify/", "/api/token/blacklist/"] {
        for (what, body, code) in broken_bodies() {
            let answer = world.ask(Method::POST, path).header("content-type", JSON).body(body).send().await;
            let expected = if code == "payload_too_large" { 413 } else { 400 };
            assert_eq!(answer.status, expected, "{path}: {what}: {}", answer.body);
        }
        let multipart = |boundary: &str| format!("multipart/form-data; boundary={boundary}");
        for (content_type, status) in [
            (multipart(""), 400),
            (multipart(&"x".repeat(71)), 400),
            (multipart("x"), 400),
            (FORM.to_owned(), 400),
            (format!("text/{}", "x".repeat(20_000)), 415),
        ] {
            let body = "--x\r\nContent-Disposition: form-data; name=\"\0\"\r\n\r\n\0\r\n--x";
            let answer = world.ask(Method::POST, path).header("content-type", &content_type).body(body);
            let answer = answer.send().await;
            assert_eq!(answer.status, status, "{path}: {content_type:.60}: {}", answer.body);
            assert!(answer.body.to_string().len() < 1_000, "{path}");
        }
        let encoded = world.ask(Method::POST, path).header("content-type", JSON);
        assert_eq!(encoded.header("content-encoding", "gzip").body("{}").send().await.status, 415);
    }
    unharmed(&world).await;
}

/// Returns malformed requests, with the status of the answer that comes before the connection is closed. 0
/// means that it is closed without an answer.
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
async fn bytes_that_are_no_good_request_are_answered_shortly_and_the_connection_is_closed() {
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
async fn odd_requests_that_are_good_are_answered_as_they_should_be() {
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
async fn whoever_dawdles_is_cut_off_and_others_are_served_meanwhile() {
    let world = World::new().await;
    world.user("alice", "member");
    let host = world.base.strip_prefix("http://").unwrap();
    let fast = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let long = "POST /api/v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n";
    // Each case has the bytes sent at once, the byte sent repeatedly after them, the last answer's status,
    // and the time limit in seconds. After an answer the server keeps reading chunks, in case another request
    // follows.
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
