//! Hostile input: every route, every part of a request, and bytes that are not HTTP. Each is refused with a
//! clear message, or its connection is closed, within its deadline, and never with a 5xx.

mod bytes;
mod fields;
mod forms;
mod json;
mod routes;

use doorward::config::{Registration, SimplejwtRoutes};
use doorward::refusal::Code;
use doorward_test::{Answer, World};
use reqwest::Method;

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

/// Checks that a response is one of doorward's and not a server error. A refusal of an API request must be a
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
