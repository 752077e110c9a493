//! Every mistake of a request is named at its place, and all of them at once.

use doorward_test::{Answer, Browser, PASSWORD, World};
use reqwest::Method;
use serde_json::{Value, json};

fn named(answer: &Answer) -> Vec<(&str, &str)> {
    let errors = answer.refused("validation_failed").body["errors"].as_array().unwrap();
    errors.iter().map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap())).collect()
}

#[actix_web::test]
async fn every_invalid_parameter_is_reported() {
    let world = World::new().await;
    let admin = world.login("admin").await.access;
    for (path, expected) in [
        ("/api/v1/notes?limit=abc&foo=1", vec![("/limit", "invalid"), ("/foo", "unknown_field")]),
        (
            "/api/v1/notes?owner=you&shared=maybe&limit=0&cursor=x",
            vec![
                ("/owner", "invalid"),
                ("/shared", "invalid"),
                ("/limit", "out_of_range"),
                ("/cursor", "invalid_cursor"),
            ],
        ),
        (
            "/api/v1/users?status=gone&limit=201&limit=7&q=%00",
            vec![
                ("/limit", "duplicate_field"),
                ("/status", "invalid"),
                ("/limit", "out_of_range"),
                ("/q", "invalid_character"),
            ],
        ),
        (
            "/api/v1/audit-events?actor=me&subject=x&since=today&type=login",
            vec![("/actor", "invalid"), ("/subject", "invalid"), ("/since", "invalid"), ("/type", "invalid")],
        ),
        ("/api/v1/me/tokens?limit=-1&q=", vec![("/limit", "invalid"), ("/q", "unknown_field")]),
        ("/api/v1/users?role=nobody", vec![("/role", "unknown_role")]),
    ] {
        assert_eq!(named(&world.get(path, &admin).await), expected, "{path}");
    }
    for path in
        ["/api/v1/users?role=admin&status=active", "/api/v1/audit-events?type=login_succeeded&limit=1"]
    {
        assert_eq!(world.get(path, &admin).await.status, 200, "{path}");
    }
}

#[actix_web::test]
async fn unknown_filter_values_are_marked_on_pages() {
    let world = World::new().await;
    let mut browser = Browser::signed_in(&world, "admin").await;
    for (path, name) in [("/admin/audit?type=login", "type"), ("/admin/refusals?code=nothing", "code")] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 422, "{path}");
        assert!(page.body.as_str().unwrap().contains(&format!("id=\"{name}-error\"")), "{path}");
    }
    assert_eq!(browser.get("/admin/users?role=nobody").await.status, 422);
    assert_eq!(browser.get("/admin/audit?type=login_succeeded").await.status, 200);
    assert_eq!(browser.get("/admin/refusals?code=token_expired").await.status, 200);
}

#[actix_web::test]
async fn every_unknown_scope_is_reported() {
    let world = World::new().await;
    world.user("alice", "viewer");
    let login = |scope: Value| json!({ "username": "alice", "password": PASSWORD, "scope": scope });
    let ask = async |body: Value| world.ask(Method::POST, "/api/v1/auth/login").json(&body).send().await;
    let refused = ask(login(json!("openid notes:read profile"))).await;
    assert_eq!(named(&refused), [("/scope", "unknown_scope"), ("/scope", "unknown_scope")]);
    for (index, name) in ["openid", "profile"].into_iter().enumerate() {
        assert!(refused.body["errors"][index]["detail"].as_str().unwrap().contains(name), "{}", refused.body);
    }
    let refused = ask(login(json!(["notes:read", 7, "a b"]))).await;
    assert_eq!(named(&refused), [("/scope/1", "wrong_type"), ("/scope/2", "invalid")]);
}

#[actix_web::test]
async fn patch_accepts_and_advertises_merge_patch() {
    const MERGE_PATCH: &str = "application/merge-patch+json";
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let note = world.post("/api/v1/notes", &tokens.access, json!({ "title": "a", "body": "b" })).await;
    let path = format!("/api/v1/notes/{}", note.text("id"));
    let send = async |method: Method, media_type: &str| {
        let ask = world.ask(method, &path).bearer(&tokens.access).header("content-type", media_type);
        ask.body(r#"{"title":"c"}"#).send().await
    };
    let changed = send(Method::PATCH, MERGE_PATCH).await;
    assert_eq!(
        (changed.status, &changed.body["title"], &changed.body["body"]),
        (200, &json!("c"), &json!("b"))
    );
    let refused = send(Method::PATCH, "application/json-patch+json").await;
    refused.refused("unsupported_media_type");
    let offered = Some("application/merge-patch+json, application/json");
    assert_eq!(refused.header("accept-patch"), offered);
    let other = send(Method::PUT, MERGE_PATCH).await;
    assert_eq!(other.refused("unsupported_media_type").header("accept-patch"), None);
    assert_eq!(world.ask(Method::OPTIONS, &path).send().await.header("accept-patch"), offered);
    assert_eq!(world.ask(Method::OPTIONS, "/api/v1/notes").send().await.header("accept-patch"), None);
}

#[actix_web::test]
async fn byte_order_mark_in_json_is_reported() {
    let world =
        World::with(|settings| settings.simplejwt_routes = doorward::config::SimplejwtRoutes::On).await;
    for (path, body) in [
        ("/api/v1/auth/login", &b"\xef\xbb\xbf{}"[..]),
        ("/api/v1/auth/login", b"\xff\xfe{\0}\0"),
        ("/api/token/", b"\xef\xbb\xbf{}"),
    ] {
        let ask = world.ask(Method::POST, path).header("content-type", "application/json");
        let refused = ask.body(body.to_vec()).send().await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert!(refused.text("detail").contains("byte order mark"), "{}", refused.body);
    }
}
