//! Changing the caller's own password.

use doorward_test::{PASSWORD, World};
use reqwest::Method;
use serde_json::json;

#[actix_web::test]
async fn password_change_ends_other_sessions_and_optionally_tokens() {
    let world = World::new().await;
    let here = world.signed_in("alice", "member").await;
    let there = world.login("alice").await;
    let (token, _) = world.personal_token(&here.access, "notes:read").await;
    let ask = |new: &str| json!({"current_password": PASSWORD, "new_password": new, "revoke_tokens": true});
    let path = "/api/v1/me/password";
    for (new, code) in
        [("short", "too_short"), ("password1234", "too_common"), ("alice-alice-alice", "like_the_name")]
    {
        let refused = world.post(path, &here.access, ask(new)).await;
        refused.refused("validation_failed");
        assert_eq!(refused.body["errors"][0]["code"], code, "{}", refused.body);
    }
    let new = "another unusual pass phrase";
    assert_eq!(world.post(path, &here.access, ask(new)).await.status, 204);
    assert_eq!(world.get("/api/v1/me", &here.access).await.status, 200);
    let refused = world.get("/api/v1/me", &there.access).await;
    refused.refused("session_ended");
    assert_eq!(refused.body["reason"], "password_changed");
    world.refresh(&there.refresh).await.refused("session_ended");
    world.get("/api/v1/notes", &token).await.refused("token_revoked");
    world.login_with(json!({"username": "alice", "password": new})).await;
    let old = json!({"username": "alice", "password": PASSWORD});
    world.ask(Method::POST, "/api/v1/auth/login").json(&old).send().await.refused("invalid_credentials");
}

#[actix_web::test]
async fn password_change_keeps_tokens_by_default() {
    let world = World::new().await;
    let here = world.signed_in("alice", "member").await;
    let (token, _) = world.personal_token(&here.access, "notes:read").await;
    let body = json!({"current_password": PASSWORD, "new_password": "another unusual pass phrase"});
    assert_eq!(world.post("/api/v1/me/password", &here.access, body).await.status, 204);
    assert_eq!(world.get("/api/v1/notes", &token).await.status, 200);
}

#[actix_web::test]
async fn simultaneous_password_changes_apply_once() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let changes = (0..20).map(|n| {
        let body =
            json!({"current_password": PASSWORD, "new_password": format!("unusual phrase number {n}")});
        world.post("/api/v1/me/password", &tokens.access, body)
    });
    let answers = futures_util::future::join_all(changes).await;
    let done = answers.iter().filter(|answer| answer.status == 204).count();
    assert_eq!(done, 1, "{answers:?}");
    assert!(answers.iter().all(|answer| [204, 422, 503].contains(&answer.status)), "{answers:?}");
    assert_eq!(world.events("password_changed"), 1);
}
