//! The headers of every route and every kind of response, and the cookies' attributes.

use std::collections::BTreeSet;
use std::net::TcpListener;

use doorward::clock::Clock;
use doorward::config::{SimplejwtRoutes, WebOrigin};
use doorward::refusal::RenderContext;
use doorward_test::{Answer, Browser, PASSWORD, World, settings_at};
use reqwest::Method;
use serde_json::json;

const HTTPS: &str = "https://auth.example";
/// Public resources, which other sites' pages may load.
const FOR_ALL: [&str; 4] =
    ["/.well-known/jwks.json", "/openapi.json", "/problems", "/problems/token_expired"];

#[track_caller]
fn held(answer: &Answer, path: &str, is_https: bool) {
    let what = format!("{path}: {}: {:?}", answer.status, answer.headers);
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
    assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{what}");
    assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"), "{what}");
    let resource = answer.header("cross-origin-resource-policy");
    let is_for_all = resource == Some("cross-origin");
    assert!(is_for_all && FOR_ALL.contains(&path) || resource == Some("same-origin"), "{what}");
    let permissions = answer.header("permissions-policy").unwrap_or_default();
    assert!(permissions.contains("camera=()") && permissions.contains("microphone=()"), "{what}");
    let strict = answer.header("strict-transport-security");
    assert_eq!(strict, is_https.then_some("max-age=63072000"), "{what}");
    let policies: Vec<_> = answer.headers.get_all("content-security-policy").iter().collect();
    let [policy] = policies.as_slice() else { panic!("one policy: {what}") };
    let policy = policy.to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{what}");
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{what}");
    let is_viewer = policy.contains("'unsafe-inline'");
    assert!(!is_viewer || path == "/docs/try", "{what}");
    assert!(!policy.contains("script-src 'self' 'unsafe") && !policy.contains("unsafe-eval"), "{what}");
    assert!(!policy.contains('*') && !policy.contains("http"), "{what}");
    assert!(!answer.headers.contains_key("server") && !answer.headers.contains_key("x-powered-by"), "{what}");
    for (name, value) in &answer.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).to_lowercase();
        assert!(!value.contains("actix") && !value.contains("rust"), "{what}");
        assert!(!value.contains(env!("CARGO_PKG_VERSION")), "{what}");
        assert!(!name.as_str().starts_with("access-control"), "{what}");
    }
    assert!(answer.headers.contains_key("x-request-id"), "{what}");
}

fn paths() -> Vec<(Method, String)> {
    let id = "0192d7a0-0000-7000-8000-000000000000";
    let endpoints = doorward::app::routes(SimplejwtRoutes::On);
    let of = |endpoint: &doorward::http::routing::Endpoint| {
        let mut path = endpoint.path().replace("{code}", "token_expired");
        while let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
            path.replace_range(from..=to, id);
        }
        let mut methods = endpoint.methods();
        methods.push(actix_web::http::Method::OPTIONS);
        methods.push(actix_web::http::Method::TRACE);
        let methods = methods.into_iter();
        methods
            .map(|method| (Method::from_bytes(method.as_str().as_bytes()).unwrap(), path.clone()))
            .collect::<Vec<_>>()
    };
    let more =
        ["/nothing", "/api/nothing", "/docs/nothing", "/docs/viewer/swagger-ui.css", "/account/nothing"];
    let more = more.iter().map(|path| (Method::GET, (*path).to_owned()));
    endpoints.iter().flat_map(of).chain(more).collect()
}

#[actix_web::test]
async fn every_response_has_security_headers_and_names_no_server() {
    for url in [HTTPS, doorward_test::PUBLIC_URL] {
        let world = World::with(|settings| {
            *settings = settings_at(url);
            settings.simplejwt_routes = SimplejwtRoutes::On;
        })
        .await;
        let is_https = url == HTTPS;
        let admin = world.login("admin").await;
        let mut statuses = BTreeSet::new();
        for (method, path) in paths() {
            for accept in ["text/html", "application/json"] {
                let ask = || world.ask(method.clone(), &path).header("accept", accept);
                let mut answers = vec![ask().send().await];
                // A read is also made as a caller with every permission.
                if [Method::GET, Method::HEAD].contains(&method) {
                    answers.push(ask().bearer(&admin.access).send().await);
                    answers.push(ask().header("if-none-match", "*").bearer(&admin.access).send().await);
                }
                for answer in answers {
                    held(&answer, &path, is_https);
                    statuses.insert(answer.status);
                    let is_html =
                        answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
                    let policy = answer.header("content-security-policy").unwrap();
                    assert!(!is_html || policy.contains("form-action 'self'"), "{path}: {policy}");
                }
            }
        }
        // A server error.
        world.sql("ALTER TABLE notes RENAME TO notes_that_a_hand_has_moved");
        let fault = world.get("/api/v1/notes", &admin.access).await;
        held(fault.refused_at("internal_error", url), "/api/v1/notes", is_https);
        statuses.insert(fault.status);
        for kind in [200, 204, 303, 400, 401, 403, 404, 405, 415, 500] {
            assert!(statuses.contains(&kind), "no {kind} among {statuses:?}");
        }
        for path in FOR_ALL {
            let answer = world.ask(Method::GET, path).header("accept", "application/json").send().await;
            assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"), "{path}");
        }
        let document = world.ask(Method::GET, "/openapi.json").send().await;
        assert_ne!(document.body["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}

#[actix_web::test]
async fn responses_before_postgresql_is_ready_have_security_headers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let rendering = RenderContext { base: HTTPS.to_owned(), clock: Clock::default() };
    let server = doorward::app::not_ready::serve(rendering, SimplejwtRoutes::On, listener).unwrap();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (path, status) in [("/healthz", 200), ("/readyz", 503), ("/api/v1/me", 503), ("/login", 503)] {
        let answer = doorward_test::Ask::new(client.get(format!("{base}{path}"))).send().await;
        assert_eq!(answer.status, status, "{path}");
        held(&answer, path, true);
    }
    for (path, content_type) in [
        ("/api/v1/me", "application/problem+json"),
        ("/api/token/", "application/json"),
        ("/account", "text/html; charset=utf-8"),
        ("/docs", "application/problem+json"),
    ] {
        let answer = doorward_test::Ask::new(client.get(format!("{base}{path}"))).send().await;
        assert_eq!((answer.status, answer.header("content-type")), (503, Some(content_type)), "{path}");
    }
    handle.stop(false).await;
}

fn cookies(answer: &Answer) -> Vec<String> {
    let all = answer.headers.get_all("set-cookie").iter();
    all.map(|cookie| cookie.to_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn https_cookies_are_bound_to_the_host_and_hidden_from_scripts() {
    let world = World::with(|settings| *settings = settings_at(HTTPS)).await;
    let mut browser = Browser::new(&world);
    let shown = browser.get("/login").await;
    let kept = [("keep", "on")];
    let mut given = cookies(&shown);
    given.extend(cookies(&browser.sign_in("admin", PASSWORD, &kept).await));
    let mut again = Browser::new(&world);
    given.extend(cookies(&again.sign_in("admin", PASSWORD, &[]).await));
    let taken = again.fill_in("/account", "/logout", &[]).await;
    assert_eq!(taken.status, 303, "{}", taken.body);
    given.extend(cookies(&taken));
    assert!(given.len() >= 4, "{given:?}");
    for cookie in &given {
        let (pair, attributes) = cookie.split_once(';').unwrap();
        let attributes: Vec<String> = attributes.split(';').map(|one| one.trim().to_lowercase()).collect();
        let has = |name: &str| attributes.iter().any(|attribute| attribute == name);
        assert!(pair.starts_with("__Host-doorward"), "{cookie}");
        assert!(has("secure") && has("httponly") && has("samesite=lax") && has("path=/"), "{cookie}");
        assert!(!attributes.iter().any(|attribute| attribute.starts_with("domain")), "{cookie}");
    }
    // A cookie with the name that http would use is ignored.
    let value = &browser.cookies["__Host-doorward"];
    let plain = world.ask(Method::GET, "/api/v1/me").header("cookie", format!("doorward={value}"));
    plain.send().await.refused_at("credentials_missing", HTTPS);
    let good = world.ask(Method::GET, "/api/v1/me").header("cookie", format!("__Host-doorward={value}"));
    assert_eq!(good.send().await.status, 200);
}

#[actix_web::test]
async fn cors_allows_configured_origins_and_never_credentials() {
    let world = World::with(|settings| {
        settings.cors_origins = vec![
            WebOrigin::read("https://app.example").unwrap(),
            WebOrigin::read("http://localhost:5173").unwrap(),
        ];
    })
    .await;
    let admin = world.login("admin").await;
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").map(str::to_owned);
    for origin in ["https://app.example", "http://localhost:5173"] {
        let preflight = |path: &str| {
            world
                .ask(Method::OPTIONS, path)
                .header("origin", origin)
                .header("access-control-request-method", "PATCH")
                .header("access-control-request-headers", "authorization,content-type,if-match")
        };
        for path in ["/api/v1/notes", "/api/v1/users", "/api/v1/auth/login", "/api/v1/nothing"] {
            let answer = preflight(path).send().await;
            assert_eq!(answer.status, 200, "{path}: before the guard and the router");
            assert_eq!(allowed(&answer).as_deref(), Some(origin), "{path}");
            let methods = answer.header("access-control-allow-methods").unwrap();
            assert!(methods.contains("PATCH") && !methods.contains('*') && !methods.contains("TRACE"));
            let headers = answer.header("access-control-allow-headers").unwrap();
            assert!(!headers.contains('*') && !headers.contains("cookie"), "{headers}");
            assert!(answer.header("vary").is_some_and(|vary| vary.to_lowercase().contains("origin")));
        }
        for (answer, status) in [
            (world.ask(Method::GET, "/api/v1/me").header("origin", origin).bearer(&admin.access), 200),
            (world.ask(Method::GET, "/api/v1/me").header("origin", origin), 401),
            (world.ask(Method::GET, "/api/v1/nothing").header("origin", origin), 404),
            (world.ask(Method::DELETE, "/api/v1/me").header("origin", origin), 405),
        ] {
            let answer = answer.send().await;
            assert_eq!((answer.status, allowed(&answer).as_deref()), (status, Some(origin)));
            // A script cannot send the browser's own credentials either.
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
    }
    for origin in [
        "https://app.example.evil.example",
        "https://evil.example",
        "https://app.example:8443",
        "http://app.example",
        "https://APP.example",
        "https://app.example/",
        "https://sub.app.example",
        "null",
        "*",
        "",
    ] {
        for ask in [
            world.ask(Method::GET, "/api/v1/me").header("origin", origin).bearer(&admin.access),
            world
                .ask(Method::OPTIONS, "/api/v1/me")
                .header("origin", origin)
                .header("access-control-request-method", "GET"),
        ] {
            let answer = ask.send().await;
            assert_eq!(allowed(&answer), None, "{origin}: {:?}", answer.headers);
            assert!(answer.status < 500, "{origin}");
        }
    }
    // Caches are told that a response depends on the origin, even if the request had none.
    for path in ["/api/v1/me", "/healthz", "/openapi.json", "/problems"] {
        let answer = world.ask(Method::GET, path).send().await;
        let vary: Vec<_> = answer.headers.get_all("vary").iter().map(|vary| vary.to_str().unwrap()).collect();
        assert!(vary.join(",").to_lowercase().contains("origin"), "{path}: {vary:?}");
    }
}

#[actix_web::test]
async fn bodyless_response_to_a_guarded_request_is_private() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let admin = world.login("admin").await.access;
    let (alice, other) = (world.login("alice").await, world.login("alice").await);
    let session = world.get("/api/v1/me", &other.access).await.body["credential"]["session_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (_, one) = world.personal_token(&alice.access, "notes:read").await;
    let (_, two) = world.personal_token(&alice.access, "notes:read").await;
    let note = json!({ "title": "x", "body": "" });
    let note = world.post("/api/v1/notes", &alice.access, note).await.text("id");
    let user = format!("/api/v1/users/{id}");
    let new = |password: &str| json!({ "current_password": PASSWORD, "new_password": password });
    let mut answers = vec![
        world.delete(&format!("/api/v1/notes/{note}"), &alice.access).await,
        world.delete(&format!("/api/v1/me/tokens/{one}"), &alice.access).await,
        world.delete(&format!("/api/v1/me/sessions/{session}"), &alice.access).await,
        world.delete("/api/v1/me/sessions", &alice.access).await,
        world.post("/api/v1/me/password", &alice.access, new("another unusual phrase")).await,
        world.post("/api/v1/auth/logout", &alice.access, json!({})).await,
        world.delete(&format!("{user}/tokens/{two}"), &admin).await,
        world.post(&format!("{user}/password"), &admin, json!({ "new_password": PASSWORD })).await,
    ];
    let again = world.login("alice").await;
    let session = world.get("/api/v1/me", &again.access).await.body["credential"]["session_id"].clone();
    answers.push(world.delete(&format!("{user}/sessions/{}", session.as_str().unwrap()), &admin).await);
    answers.push(world.delete(&format!("{user}/sessions"), &admin).await);
    let browser = Browser::signed_in(&world, "alice").await;
    let me = browser.ask(Method::GET, "/api/v1/me").send().await;
    let stepped_up = browser
        .ask(Method::POST, "/api/v1/auth/step-up")
        .header("sec-fetch-site", "same-origin")
        .header("x-csrf-token", me.body["credential"]["csrf_token"].as_str().unwrap())
        .json(&json!({ "password": PASSWORD }));
    answers.push(stepped_up.send().await);
    answers.push(world.delete(&user, &admin).await);
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.status, 204, "{number}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"), "{number}");
        assert_eq!(answer.header("vary"), Some("Authorization, Cookie"), "{number}");
    }
}
