//! The guard: every route, every kind of credential, and every way in which a credential can be wrong.

use chrono::TimeDelta;
use doorward::config::SimplejwtRoutes;
use doorward_test::{Answer, PASSWORD, World};
use reqwest::Method;
use serde_json::{Value, json};

/// The routes that need no credential. All others are guarded.
const OPEN: [&str; 17] = [
    "/api/v1/auth/login",
    "/api/v1/auth/refresh",
    "/api/v1/auth/logout",
    "/api/v1/auth/register",
    "/api/v1/auth/explain",
    "/api/token/",
    "/api/token/refresh/",
    "/api/token/verify/",
    "/api/token/blacklist/",
    "/healthz",
    "/readyz",
    "/.well-known/jwks.json",
    "/openapi.json",
    "/docs",
    "/docs/",
    "/docs/try",
    "/docs/viewer/{file}",
];

const ID: &str = "0192d7a0-0000-7000-8000-000000000000";

fn filled(path: &str) -> String {
    path.replace("{id}", ID).replace("{sid}", ID).replace("{tid}", ID)
}

fn guarded() -> Vec<(Method, String)> {
    let endpoints = doorward::app::routes(SimplejwtRoutes::On);
    let pages: Vec<&str> =
        doorward::pages::routes().iter().map(doorward::http::routing::Endpoint::path).collect();
    let guarded = endpoints
        .iter()
        .filter(|endpoint| !OPEN.contains(&endpoint.path()) && !pages.contains(&endpoint.path()));
    guarded
        .flat_map(|endpoint| {
            let methods = endpoint.methods();
            let methods =
                methods.into_iter().map(|method| Method::from_bytes(method.as_str().as_bytes()).unwrap());
            methods.map(|method| (method, filled(endpoint.path()))).collect::<Vec<_>>()
        })
        .filter(|(method, _)| *method != Method::HEAD)
        .collect()
}

#[actix_web::test]
async fn guarded_routes_refuse_alike_before_reading_the_body() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    world.advance(TimeDelta::minutes(10));
    let routes = guarded();
    assert!(routes.len() > 25, "{routes:?}");
    for (method, path) in routes {
        for broken_body in [false, true] {
            let ask = || {
                let ask = world.ask(method.clone(), &path);
                if broken_body {
                    ask.header("content-type", "application/json").body("{\"broken\":")
                } else {
                    ask
                }
            };
            let refused = ask().send().await;
            assert_eq!(refused.body["code"], "credentials_missing", "{method} {path}: {}", refused.body);
            refused.refused_with("credentials_missing", "login", false);
            ask().header("authorization", "Token abc").send().await.refused("scheme_unsupported");
            ask().header("authorization", "Bearer").send().await.refused("credentials_malformed");
            ask().bearer("a").bearer("b").send().await.refused("credentials_ambiguous");
            ask().bearer("abc").send().await.refused("token_malformed");
            ask().bearer(&tokens.access).send().await.refused("token_expired");
            ask().bearer(&tokens.refresh).send().await.refused("token_type_mismatch");
            let basic = ask().basic("alice", PASSWORD).send().await;
            basic.refused_with("token_malformed", "fix_request", false);
            // A token in the query string is never accepted.
            let in_query = format!("{path}?access_token={}", tokens.access);
            world.ask(method.clone(), &in_query).send().await.refused("credentials_missing");
        }
    }
}

#[actix_web::test]
async fn malformed_id_is_not_found_only_after_authorization() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    world.ask(Method::GET, "/api/v1/notes/not-an-id").send().await.refused("credentials_missing");
    world.get("/api/v1/notes/not-an-id", &tokens.access).await.refused("not_found");
    world.get("/api/v1/users/not-an-id", &tokens.access).await.refused("permission_denied");
}

#[actix_web::test]
async fn viewer_cannot_write_and_member_cannot_manage() {
    let world = World::new().await;
    let viewer = world.signed_in("vi", "viewer").await;
    let member = world.signed_in("mem", "member").await;
    let denied = world.post("/api/v1/notes", &viewer.access, json!({"nonsense": true})).await;
    denied.refused_with("permission_denied", "request_access", false);
    assert_eq!(denied.body["required"], json!(["notes:write"]));
    for path in ["/api/v1/users", "/api/v1/audit-events", &format!("/api/v1/users/{ID}")] {
        world.get(path, &member.access).await.refused("permission_denied");
    }
    world.post("/api/v1/users", &member.access, json!({})).await.refused("permission_denied");
}

#[actix_web::test]
async fn basic_challenge_is_sent_to_tools_but_not_to_browsers() {
    let world = World::new().await;
    let tool = world.ask(Method::GET, "/api/v1/me").send().await;
    let basic = "Basic realm=\"doorward\", charset=\"UTF-8\"";
    assert_eq!(tool.challenges(), ["Bearer realm=\"doorward\"", basic]);
    for header in ["sec-fetch-mode", "origin"] {
        let browser = world.ask(Method::GET, "/api/v1/me").header(header, "cors").send().await;
        assert_eq!(browser.challenges(), ["Bearer realm=\"doorward\""]);
    }
    // A 403 has no challenge, except the one that asks for more scope.
    let viewer = world.signed_in("vi", "viewer").await;
    let denied = world.post("/api/v1/notes", &viewer.access, json!({})).await;
    assert!(denied.challenges().is_empty());
}

#[actix_web::test]
async fn forged_token_reveals_nothing_but_the_forgery() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let mut parts: Vec<&str> = tokens.access.split('.').collect();
    let none = encode(&json!({"alg": "none", "typ": "at+jwt"}));
    parts[0] = &none;
    for forged in [
        parts.join("."),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}x", tokens.access),
        tokens.access.replacen("eyJ", "eyK", 1),
    ] {
        let refused = world.get("/api/v1/me", &forged).await;
        assert!(["token_signature_invalid", "token_malformed"].contains(&refused.text("code").as_str()));
        assert!(refused.body.get("expired_at").is_none());
    }
}

fn encode(value: &Value) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string())
}

#[actix_web::test]
async fn token_from_a_fast_clock_is_refused_with_wait() {
    let world = World::new().await;
    world.user("alice", "member");
    world.advance(TimeDelta::minutes(2));
    let tokens = world.login("alice").await;
    world.advance(TimeDelta::minutes(-2));
    let refused = world.get("/api/v1/me", &tokens.access).await;
    refused.refused_with("token_not_yet_valid", "wait", false);
}

#[actix_web::test]
async fn token_of_another_public_url_names_the_issuer_found() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let other = World::on(std::sync::Arc::clone(&world.database), |settings| {
        settings.public_url = doorward::config::PublicUrl::read("http://other.test").expect("a URL");
    });
    // The setting is not marked as set, so this node uses its listener's address, which differs in any case.
    let other = other.await;
    let refused = other.get("/api/v1/me", &tokens.access).await;
    assert_eq!(refused.body["code"], "token_issuer_mismatch", "{}", refused.body);
    assert_eq!(refused.body["found"], "http://doorward.test");
}

#[actix_web::test]
async fn personal_token_works_as_bearer_and_basic_within_its_scope() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (token, id) = world.personal_token(&tokens.access, "notes:read account:read").await;
    assert_eq!(world.get("/api/v1/notes", &token).await.status, 200);
    let me = world.ask(Method::GET, "/api/v1/me").basic("ALICE", &token).send().await;
    assert_eq!(me.status, 200, "{}", me.body);
    assert_eq!(me.body["credential"]["kind"], "personal_token");
    assert_eq!(me.body["credential"]["session_id"], Value::Null);
    let refused = world.ask(Method::GET, "/api/v1/me").basic("bob", &token).send().await;
    refused.refused_with("token_unknown", "login", false);
    let refused = world.post("/api/v1/notes", &token, json!({"title": "x", "body": ""})).await;
    refused.refused_with("insufficient_scope", "login", false);
    // A leaked personal token cannot be used to create a more powerful one.
    world
        .post("/api/v1/me/tokens", &token, json!({"name": "x", "scope": "notes:read"}))
        .await
        .refused("insufficient_scope");
    world.flush().await;
    let listed = world.get("/api/v1/me/tokens", &tokens.access).await;
    assert!(listed.body["items"][0]["last_used_at"].is_string(), "{}", listed.body);

    assert_eq!(world.delete(&format!("/api/v1/me/tokens/{id}"), &tokens.access).await.status, 204);
    let refused = world.get("/api/v1/notes", &token).await;
    refused.refused_with("token_revoked", "login", true);
    assert_eq!(refused.body["reason"], "revoked_by_user");
}

#[actix_web::test]
async fn expired_mistyped_and_unknown_personal_tokens_differ() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (token, _) = world.personal_token(&tokens.access, "notes:read").await;
    let mistyped = format!("{}{}", &token[..token.len() - 1], if token.ends_with('a') { 'b' } else { 'a' });
    world.get("/api/v1/notes", &mistyped).await.refused_with("token_malformed", "fix_request", false);
    let (strange, _) = doorward::tokens::personal_token::mint();
    world.get("/api/v1/notes", strange.expose()).await.refused_with("token_unknown", "login", false);
    world.advance(TimeDelta::days(91));
    let refused = world.get("/api/v1/notes", &token).await;
    refused.refused_with("token_expired", "login", true);
}

#[actix_web::test]
async fn basic_credential_is_refused_for_cross_site_writes() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (token, _) = world.personal_token(&tokens.access, "notes:read notes:write").await;
    let body = json!({"title": "x", "body": ""});
    let ask = |site: &'static str| {
        world
            .ask(Method::POST, "/api/v1/notes")
            .basic("alice", &token)
            .header("sec-fetch-site", site)
            .json(&body)
    };
    for site in ["cross-site", "same-site", "none"] {
        ask(site).send().await.refused_with("csrf_failed", "fix_request", false);
    }
    assert_eq!(ask("same-origin").send().await.status, 201);
    let read =
        world.ask(Method::GET, "/api/v1/notes").basic("alice", &token).header("sec-fetch-site", "cross-site");
    assert_eq!(read.send().await.status, 200);
    let bearer =
        world.ask(Method::POST, "/api/v1/notes").bearer(&token).header("sec-fetch-site", "cross-site");
    assert_eq!(bearer.json(&body).send().await.status, 201);
}

#[actix_web::test]
async fn wrong_methods_paths_and_bodies_are_refused_as_problems() {
    let world = World::new().await;
    let refused = world.ask(Method::DELETE, "/api/v1/me").send().await;
    refused.refused("method_not_allowed");
    assert_eq!(refused.header("allow"), Some("GET, HEAD, OPTIONS, PATCH"));
    world.ask(Method::GET, "/api/v1/nothing").send().await.refused("not_found");
    world.ask(Method::GET, "/api/v2").send().await.refused("not_found");
    let options = world.ask(Method::OPTIONS, "/api/v1/notes").send().await;
    assert_eq!((options.status, options.header("allow")), (204, Some("GET, HEAD, OPTIONS, POST")));

    let login = || world.ask(Method::POST, "/api/v1/auth/login");
    login().send().await.refused("unsupported_media_type");
    login().header("content-type", "text/plain").body("x").send().await.refused("unsupported_media_type");
    let json = |body: String| login().header("content-type", "application/json; charset=utf-8").body(body);
    json("{".into()).send().await.refused("malformed_json");
    json(String::new()).send().await.refused("malformed_json");
    json("[]".into()).send().await.refused("validation_failed");
    json(format!("{{\"username\":\"{}\"}}", "x".repeat(70_000))).send().await.refused("payload_too_large");
    json("[".repeat(60_000)).send().await.refused("malformed_json");
}

#[actix_web::test]
async fn head_returns_the_headers_of_get_without_a_body() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    for token in [tokens.access.as_str(), "nonsense"] {
        let get = world.get("/api/v1/me", token).await;
        let head = world.ask(Method::HEAD, "/api/v1/me").bearer(token).send().await;
        assert_eq!((head.status, &head.body), (get.status, &json!("")));
        assert_eq!(head.header("content-length"), get.header("content-length"));
        assert_eq!(head.header("content-type"), get.header("content-type"));
    }
}

#[actix_web::test]
async fn every_response_has_its_own_request_id() {
    let world = World::new().await;
    let ask = || world.ask(Method::GET, "/healthz").header("x-request-id", "forged");
    let (one, other): (Answer, Answer) = (ask().send().await, ask().send().await);
    assert!(one.header("x-request-id").is_some_and(|id| id != "forged" && uuid::Uuid::parse_str(id).is_ok()));
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
}

#[actix_web::test]
async fn cors_headers_are_sent_only_to_configured_origins() {
    let closed = World::new().await;
    let answer = closed.ask(Method::GET, "/healthz").header("origin", "https://app.example").send().await;
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
    let open = World::with(|settings| {
        settings.cors_origins =
            vec![doorward::config::WebOrigin::read("https://app.example").expect("an origin")];
    })
    .await;
    let preflight = open
        .ask(Method::OPTIONS, "/api/v1/notes")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization")
        .send()
        .await;
    assert_eq!(preflight.status, 200, "before the guard");
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://app.example"));
    let refused = open.ask(Method::GET, "/api/v1/me").header("origin", "https://app.example").send().await;
    refused.refused("credentials_missing");
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example"));
    assert!(
        refused
            .header("access-control-expose-headers")
            .is_some_and(|names| names.contains("www-authenticate"))
    );
    let other = open.ask(Method::GET, "/healthz").header("origin", "https://evil.example").send().await;
    assert_eq!(other.header("access-control-allow-origin"), None);
}
