//! Every request of a stranger costs a response and a record of limited size.

use doorward_test::{Answer, PASSWORD, World};
use reqwest::Method;
use serde_json::{Value, json};

/// The maximum size of the response of a refusal, in bytes.
const ANSWER_MAX: usize = 32 * 1024;
/// The maximum size of the kept record of a refusal, in bytes.
const RECORD_MAX: i64 = 8 * 1024;

const BODY_MAX: usize = 64 * 1024;

/// Endpoints that accept JSON from anyone.
const OPEN: [&str; 5] = [
    "/api/v1/auth/login",
    "/api/v1/auth/refresh",
    "/api/v1/auth/logout",
    "/api/v1/auth/explain",
    "/api/v1/auth/register",
];

/// Returns a list or object with as many of these items as fit into a body.
fn filled(head: &str, item: impl Fn(usize) -> String, tail: &str) -> String {
    let mut text = head.to_owned();
    for number in 0.. {
        let item = item(number);
        if text.len() + item.len() + tail.len() + 1 > BODY_MAX {
            break;
        }
        text += if number == 0 { "" } else { "," };
        text += &item;
    }
    text + tail
}

/// Returns nested objects with long names whose escapes are twice as long. The innermost repeats one name
/// many times.
fn deep_repetition() -> String {
    const LEVELS: usize = 120;
    let head = format!("{{\"{}\":", "~".repeat(100)).repeat(LEVELS) + "{";
    filled(&head, |_| "\"a\":1".to_owned(), &"}".repeat(LEVELS + 1))
}

fn worst_bodies() -> Vec<(&'static str, String)> {
    let controls = "\\u0001".repeat(110);
    vec![
        ("a name repeated below long names", deep_repetition()),
        ("unknown members", filled("{", |number| format!("\"{number:x}\":1"), "}")),
        ("long unknown members", filled("{", |number| format!("\"{controls}{number}\":1"), "}")),
        ("members of two names", filled("{", |number| format!("\"{}\":1", number % 2), "}")),
        ("a list of numbers", filled("{\"scope\":[", |_| "1".to_owned(), "]}")),
        ("a list of objects", filled("{\"username\":[", |_| "{\"a\":1,\"a\":1}".to_owned(), "]}")),
        ("a list of lists", filled("[", |_| "[1]".to_owned(), "]")),
        ("a long scope", format!("{{\"scope\":\"{}\"}}", "a ".repeat(30_000))),
        ("a long name", format!("{{\"{}\":1}}", "~".repeat(65_000))),
    ]
}

/// Checks that the response and its kept record are small.
async fn is_small(world: &World, what: &str, answer: &Answer) {
    let text = answer.body.to_string();
    assert!(text.len() < ANSWER_MAX, "{what}: {} bytes", text.len());
    assert!(answer.status < 500, "{what}: {text}");
    let Some(id) = answer.header("x-request-id") else { return };
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
    let kept = format!(
        "SELECT coalesce(sum(octet_length(row(refusals.*)::text)), 0)::bigint AS count FROM refusals WHERE request_id = '{id}'"
    );
    let kept = world.count(&kept);
    assert!(kept < RECORD_MAX && (kept > 0 || answer.status < 400), "{what}: {kept} bytes are kept");
}

async fn open_to_all() -> World {
    World::with(|settings| {
        settings.registration = doorward::config::Registration::Open;
        settings.simplejwt_routes = doorward::config::SimplejwtRoutes::On;
    })
    .await
}

#[actix_web::test]
async fn worst_json_gets_a_small_response_and_a_small_record() {
    let world = open_to_all().await;
    for (what, body) in worst_bodies() {
        assert!(body.len() <= BODY_MAX, "{what}: {}", body.len());
        for path in OPEN {
            let ask = world.ask(Method::POST, path).header("content-type", "application/json");
            let answer = ask.body(body.clone()).send().await;
            answer.refused("validation_failed");
            let errors = answer.body["errors"].as_array().unwrap();
            assert!((1..=51).contains(&errors.len()), "{path}: {what}: {}", errors.len());
            is_small(&world, &format!("{path}: {what}"), &answer).await;
        }
        let ask = world.ask(Method::POST, "/api/token/").header("content-type", "application/json");
        is_small(&world, what, &ask.body(body).send().await).await;
    }
}

#[actix_web::test]
async fn error_list_ends_with_the_number_of_omitted_errors() {
    let world = World::new().await;
    let ask = world.ask(Method::POST, OPEN[0]).header("content-type", "application/json");
    let body = deep_repetition();
    let refused = ask.body(body).send().await;
    let errors = refused.body["errors"].as_array().unwrap();
    assert_eq!(errors[0]["detail"], "the body has more than 200 members and items; send fewer");
    assert_eq!(errors[1]["code"], "duplicate_field");
    assert!(errors[1]["pointer"].as_str().unwrap().ends_with('…'), "{}", errors[1]);
    let last = errors.last().unwrap();
    // The others are in 120 members, one of which is not a repetition.
    let counted = 1 + (200 - 121) - (errors.len() - 1);
    assert_eq!(
        (last["code"].as_str(), last["detail"].as_str()),
        (Some("too_many"), Some(&*format!("{counted} more errors")))
    );
    assert!(!refused.body.to_string().contains("missing_field"), "{}", refused.body);
}

#[actix_web::test]
async fn worst_forms_and_multipart_bodies_get_small_responses() {
    let world = open_to_all().await;
    let bodies = [
        ("one field again and again", "a&".repeat(32_000)),
        ("fields of many names", filled("", |number| format!("{number:x}"), "").replace(',', "&")),
        ("escapes", format!("a={}", "%41".repeat(21_000))),
    ];
    for (what, body) in bodies {
        for (path, status) in [("/login", 403), ("/register", 403), ("/api/token/", 400)] {
            let ask =
                world.ask(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
            let ask = ask.header("sec-fetch-site", "same-origin");
            let answer = ask.body(body.clone()).send().await;
            assert!([status, 422].contains(&answer.status), "{path}: {what}: {}", answer.body);
            is_small(&world, &format!("{path}: {what}"), &answer).await;
        }
    }
    let part = "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
    let semicolons = format!("--x\r\nContent-Disposition:{}\r\n\r\n1\r\n", ";".repeat(60_000));
    for (what, body) in
        [("parts", part.repeat(1_200)), ("no heads", "--x\r\n".repeat(13_000)), ("a long head", semicolons)]
    {
        let ask = world.ask(Method::POST, "/api/token/");
        let answer = ask.header("content-type", "multipart/form-data; boundary=x").body(body).send().await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.body);
        is_small(&world, what, &answer).await;
    }
}

#[actix_web::test]
async fn explanation_does_not_repeat_a_long_target() {
    let world = World::new().await;
    let explain =
        async |body: Value| world.ask(Method::POST, "/api/v1/auth/explain").json(&body).send().await;
    let long = format!("/{}", "a".repeat(40_000));
    let refused = explain(json!({ "token": "x", "method": "A".repeat(40), "path": long })).await;
    let errors = refused.refused("validation_failed").body["errors"].as_array().unwrap();
    let pointers: Vec<_> = errors.iter().map(|error| (&error["pointer"], &error["code"])).collect();
    assert_eq!(pointers, [(&json!("/method"), &json!("too_long")), (&json!("/path"), &json!("too_long"))]);
    let pasted = format!("curl -H 'Authorization: Bearer x' http://h{long}");
    let explained = explain(json!({ "token": pasted })).await;
    assert_eq!((explained.status, &explained.body["request"]), (200, &Value::Null));
    is_small(&world, "a long path", &explained).await;
}

#[actix_web::test]
async fn other_cookies_do_not_hide_the_session_cookie() {
    let world = World::new().await;
    world.user("alice", "member");
    let browser = doorward_test::Browser::signed_in(&world, "alice").await;
    let ours = format!("doorward={}", browser.cookies["doorward"]);
    for cookies in ["broken".to_owned(), "a=;".repeat(20_000), "x=%ff%".to_owned()] {
        let ask = world.ask(Method::GET, "/api/v1/me").header("cookie", format!("{cookies}; {ours}"));
        assert_eq!(ask.send().await.status, 200, "{}", &cookies[..6]);
    }
}

#[actix_web::test]
async fn registration_is_throttled_before_the_password_is_checked() {
    let world = World::with(|settings| {
        doorward_test::limit_tries(settings);
        settings.registration = doorward::config::Registration::Open;
    })
    .await;
    let register = async |name: &str, password: &str| {
        let body = json!({ "username": name, "password": password });
        world.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await
    };
    // A request whose password is refused does not count.
    for _ in 0..12 {
        let refused = register("user", "password1234").await;
        assert_eq!(refused.refused("validation_failed").body["errors"][0]["code"], "too_common");
    }
    for number in 0..10 {
        assert_eq!(register(&format!("user-{number}"), PASSWORD).await.status, 201);
    }
    // Once the limit is reached, the password is not checked.
    register("user", "password1234").await.refused("too_many_attempts");
    let long: Value = json!("é".repeat(30_000));
    register("user", long.as_str().unwrap()).await.refused("too_many_attempts");
}

#[actix_web::test]
async fn long_paths_are_refused_before_routing() {
    let world = open_to_all().await;
    let escapes = "%41".repeat(20_000);
    for start in ["/set-password/", "/api/v1/notes/", "/api/v1/me/", "/nowhere/"] {
        for rest in ["a".repeat(2_000), "/".repeat(60_000), escapes.clone()] {
            let path = format!("{start}{rest}");
            let answer = world.ask(Method::GET, &path).send().await;
            assert_eq!(answer.status, 404, "{start}");
            is_small(&world, start, &answer).await;
            if start != "/set-password/" {
                answer.refused("not_found");
                let said = format!("The path has {} bytes, but no route has more than 2000", path.len());
                assert!(answer.body["detail"].as_str().unwrap().starts_with(&said), "{}", answer.body);
            }
        }
    }
    let longest = format!("/nowhere/{}", "a".repeat(2_000 - "/nowhere/".len()));
    let answer = world.ask(Method::GET, &longest).send().await;
    assert!(answer.refused("not_found").body["detail"].as_str().unwrap().starts_with("No route matches"));
}

#[actix_web::test]
async fn login_redirect_omits_a_long_target() {
    let world = open_to_all().await;
    let path = format!("/account?{}", "a".repeat(50_000));
    let answer = world.ask(Method::GET, &path).send().await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/login")));
}
