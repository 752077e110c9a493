//! The audit log: who did what to whom.

use serde_json::json;

use crate::support::World;

#[actix_web::test]
async fn what_happened_is_found_by_actor_subject_type_and_time() {
    let world = World::new().await;
    let admin = world.login("admin").await.access;
    let admin_id = world.get("/api/v1/me", &admin).await.text("id");
    let id = world.user("alice", "member");
    world.login("alice").await;
    world.patch(&format!("/api/v1/users/{id}"), &admin, json!({"status": "disabled"})).await;
    let list = |query: String| {
        let (world, admin) = (&world, admin.clone());
        async move { world.get(&format!("/api/v1/audit-events?{query}"), &admin).await.body["items"].clone() }
    };
    let disabled = list(format!("actor={admin_id}&subject={id}&type=user_disabled")).await;
    assert_eq!(disabled.as_array().unwrap().len(), 1, "{disabled}");
    assert_eq!(disabled[0]["actor"]["username"], "admin");
    assert_eq!(disabled[0]["subject"]["username"], "alice");
    assert!(disabled[0]["request_id"].is_string() && disabled[0]["session_id"].is_string());
    assert_eq!(list("since=2999-01-01T00:00:00Z".into()).await, json!([]));
    assert_eq!(list("type=login_succeeded".into()).await.as_array().unwrap().len(), 2);
    let refused = world.get("/api/v1/audit-events?since=yesterday", &admin).await;
    refused.refused("validation_failed");
}

#[actix_web::test]
async fn what_was_typed_for_a_name_cannot_forge_a_line() {
    let world = World::new().await;
    let body = json!({"username": "a\r\nb\u{1b}[31m", "password": "a wrong pass phrase"});
    world
        .ask(reqwest::Method::POST, "/api/v1/auth/login")
        .json(&body)
        .send()
        .await
        .refused("invalid_credentials");
    let name = world.text("SELECT subject_name AS text FROM audit_events WHERE type = 'login_failed'");
    assert_eq!(name, "ab[31m");
}
