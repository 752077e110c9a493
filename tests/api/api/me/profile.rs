//! The caller's own profile, and conditional changes of it.

use doorward_test::{PASSWORD, World};
use reqwest::Method;
use serde_json::{Value, json};

use super::pointers;

#[actix_web::test]
async fn me_returns_the_user_and_the_credential() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "viewer").await;
    let me = world.get("/api/v1/me", &tokens.access).await.body;
    assert_eq!(me["role"], "viewer");
    assert_eq!(me["permissions"], json!(["account:read", "account:write", "notes:read"]));
    let credential = me["credential"].as_object().unwrap();
    let members: Vec<&String> = credential.keys().collect();
    assert_eq!(members, ["kind", "scope", "session_id", "auth_time", "expires_at"]);
    assert_eq!(credential["kind"], "access_token");
}

#[actix_web::test]
async fn profile_change_requires_the_password() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let wrong = world
        .patch("/api/v1/me", &tokens.access, json!({"email": "a@b.example", "current_password": "x"}))
        .await;
    wrong.refused("validation_failed");
    assert_eq!(wrong.body["errors"][0]["pointer"], "/current_password");
    assert_eq!(world.events("login_failed"), 1);
    let body = json!({"username": "Alice2", "email": "a@b.example", "current_password": PASSWORD});
    let changed = world.patch("/api/v1/me", &tokens.access, body).await;
    assert_eq!((changed.status, &changed.body["email"]), (200, &json!("a@b.example")), "{}", changed.body);
    world.login("alice2").await;
    world.login("A@B.example").await;
    let removed =
        world.patch("/api/v1/me", &tokens.access, json!({"email": null, "current_password": PASSWORD})).await;
    assert_eq!(removed.body["email"], Value::Null);
    // A username and another user's address must differ.
    world.user("a@b.example", "member");
    let taken = world
        .patch("/api/v1/me", &tokens.access, json!({"email": "A@b.EXAMPLE", "current_password": PASSWORD}))
        .await;
    taken.refused("conflict");
    assert_eq!(taken.body["pointer"], "/email");
}

#[actix_web::test]
async fn own_account_has_an_etag_and_changes_are_conditional() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let shown = world.get("/api/v1/me", &tokens.access).await;
    let tag = shown.header("etag").expect("a tag").to_owned();
    let of_user = {
        let admin = world.login("admin").await;
        let path = format!("/api/v1/users/{}", shown.text("id"));
        world.get(&path, &admin.access).await.header("etag").expect("a tag").to_owned()
    };
    let read = |header: &str, value: &str| {
        world.ask(Method::GET, "/api/v1/me").bearer(&tokens.access).header(header, value).send()
    };
    assert_eq!(read("if-none-match", &tag).await.status, 304);
    assert_eq!(read("if-none-match", "\"no\"").await.status, 200);
    assert_eq!(read("if-match", &tag).await.status, 200);
    read("if-match", "\"no\"").await.refused("precondition_failed");
    let change = |header: &str, value: &str, email: &str| {
        let body = json!({"email": email, "current_password": PASSWORD});
        world.ask(Method::PATCH, "/api/v1/me").bearer(&tokens.access).header(header, value).json(&body).send()
    };
    let weak = format!("W/{tag}");
    for (header, value) in
        [("if-match", "\"no\""), ("if-match", &weak), ("if-none-match", "*"), ("if-none-match", &tag)]
    {
        change(header, value, "a@b.example").await.refused("precondition_failed");
    }
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.body["email"], Value::Null);
    let changed = change("if-match", &tag, "a@b.example").await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let next = changed.header("etag").expect("a tag").to_owned();
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.header("etag"), Some(next.as_str()));
    for stale in [&tag, &of_user] {
        change("if-match", stale, "c@d.example").await.refused("precondition_failed");
    }
    assert_eq!(change("if-match", "*", "c@d.example").await.status, 200);
}

#[actix_web::test]
async fn if_match_fails_for_resources_without_an_etag() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let other = world.login("alice").await;
    let session = world.get("/api/v1/me", &other.access).await.body["credential"]["session_id"].clone();
    let (personal, token) = world.personal_token(&tokens.access, "notes:read").await;
    let admin = world.login("admin").await;
    let user = world.get("/api/v1/me", &tokens.access).await.text("id");
    let reset = json!({"new_password": "another unusual pass phrase"});
    let own = json!({"current_password": PASSWORD, "new_password": "another unusual pass phrase"});
    let sessions = format!("/api/v1/me/sessions/{}", session.as_str().unwrap());
    let user_path = format!("/api/v1/users/{user}");
    let ask = |method: Method, path: &str, bearer: &str, tag: &str| {
        world.ask(method, path).bearer(bearer).header("if-match", tag)
    };
    for tag in ["\"no\"", "W/\"1\""] {
        let delete = |path: &str, bearer: &str| ask(Method::DELETE, path, bearer, tag).send();
        for (path, bearer) in [
            (sessions.as_str(), &tokens.access),
            (&format!("/api/v1/me/tokens/{token}"), &tokens.access),
            ("/api/v1/me/sessions", &tokens.access),
            (&format!("{user_path}/tokens"), &admin.access),
            (&format!("{user_path}/sessions"), &admin.access),
        ] {
            delete(path, bearer).await.refused("precondition_failed");
        }
        let path = format!("{user_path}/password");
        let refused = ask(Method::POST, &path, &admin.access, tag).json(&reset).send().await;
        refused.refused("precondition_failed");
        let refused = ask(Method::POST, "/api/v1/me/password", &tokens.access, tag).json(&own).send().await;
        refused.refused("precondition_failed");
    }
    assert_eq!(world.get("/api/v1/me", &other.access).await.status, 200);
    assert_eq!(world.get("/api/v1/notes", &personal).await.status, 200);
    assert_eq!(ask(Method::DELETE, &sessions, &tokens.access, "*").send().await.status, 204);
}

#[actix_web::test]
async fn errors_of_every_phase_are_reported_at_once() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let admin = world.login("admin").await;
    let id = world.get("/api/v1/me", &tokens.access).await.text("id");
    let me = world.patch("/api/v1/me", &tokens.access, json!({"username": "a:b", "email": "nope", "x": 1}));
    assert_eq!(
        pointers(me.await.refused("validation_failed")),
        ["/current_password", "/email", "/x", "/username"]
    );
    let token = json!({"name": "", "scope": "openid", "expires_in": 1_000_000_000});
    let token = world.post("/api/v1/me/tokens", &tokens.access, token).await;
    assert_eq!(pointers(token.refused("validation_failed")), ["/name", "/expires_in", "/scope"]);
    for (username, expected) in
        [("ok", vec!["/role", "/password"]), ("a:b", vec!["/username", "/role", "/password"])]
    {
        let body = json!({"username": username, "password": "short", "role": "nobody"});
        let refused = world.post("/api/v1/users", &admin.access, body).await;
        assert_eq!(pointers(refused.refused("validation_failed")), expected);
    }
    let body = json!({"username": "a:b", "email": "nope", "role": "nobody", "status": 1});
    let refused = world.patch(&format!("/api/v1/users/{id}"), &admin.access, body).await;
    assert_eq!(pointers(refused.refused("validation_failed")), ["/email", "/status", "/username", "/role"]);
}
