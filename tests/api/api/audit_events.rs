//! The audit log records who did what to whom.

use doorward_test::World;
use serde_json::json;

#[actix_web::test]
async fn events_are_filtered_by_actor_subject_type_and_time() {
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
    assert_eq!(list(format!("actor={id}&type=user_disabled")).await, json!([]));
    assert_eq!(list("since=2999-01-01T00:00:00Z".into()).await, json!([]));
    assert_eq!(list("type=login_succeeded".into()).await.as_array().unwrap().len(), 2);
    let refused = world.get("/api/v1/audit-events?since=yesterday", &admin).await;
    refused.refused("validation_failed");
}

#[actix_web::test]
async fn pagination_returns_every_event_exactly_once() {
    let world = World::new().await;
    world.user("alice", "member");
    for _ in 0..5 {
        world.login("alice").await;
    }
    let admin = world.login("admin").await.access;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("/api/v1/audit-events?limit=2{cursor}"), &admin).await.body;
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].to_string()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        assert!(seen.len() < 100, "it has an end");
    }
    let whole = world.get("/api/v1/audit-events?limit=200", &admin).await.body["items"].clone();
    let whole: Vec<String> = whole.as_array().unwrap().iter().map(|item| item["id"].to_string()).collect();
    assert!(whole.len() > 5);
    assert_eq!(seen, whole);
}

#[actix_web::test]
async fn control_characters_are_stripped_from_typed_names() {
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

#[actix_web::test]
async fn session_and_token_events_name_their_owner() {
    let world = World::new().await;
    let admin = world.login("admin").await.access;
    let id = world.user("alice", "member");
    let (one, _two) = (world.login("alice").await, world.login("alice").await);
    let (_, token) = world.personal_token(&one.access, "notes:read").await;
    let path = format!("/api/v1/users/{id}");
    assert_eq!(world.delete(&format!("{path}/tokens/{token}"), &admin).await.status, 204);
    world.post("/api/v1/auth/logout", &one.access, json!({})).await;
    assert_eq!(world.delete(&path, &admin).await.status, 204);
    let events = world.get(&format!("/api/v1/audit-events?subject={id}"), &admin).await.body["items"].clone();
    let of = |wanted: &str| {
        let items = events.as_array().unwrap().iter().filter(|item| item["type"] == wanted);
        items.map(|item| item["subject"].clone()).collect::<Vec<_>>()
    };
    let alice = json!({"id": id, "username": "alice"});
    assert_eq!(of("personal_token_created"), std::slice::from_ref(&alice));
    assert_eq!(of("personal_token_revoked"), std::slice::from_ref(&alice));
    assert_eq!(of("session_ended"), [alice.clone(), alice], "also with the account");
    let nameless = "SELECT count(*) FROM audit_events WHERE subject_id IS NOT NULL AND subject_name IS NULL";
    assert_eq!(world.count(nameless), 0);
    // The name is stored as it was typed. An anonymous caller gets no name.
    world
        .ask(reqwest::Method::POST, "/api/v1/auth/login")
        .json(&json!({"username": "ADMIN", "password": "a wrong pass phrase"}))
        .send()
        .await
        .refused("invalid_credentials");
    let name = world.text("SELECT subject_name AS text FROM audit_events WHERE type = 'login_failed'");
    assert_eq!(name, "ADMIN");
    let nobody = "SELECT count(*) FROM audit_events
                   WHERE type = 'signing_key_published' AND subject_id IS NULL AND subject_name IS NULL";
    assert_eq!(world.count(nobody), world.events("signing_key_published"));
}

#[actix_web::test]
async fn since_earlier_than_postgresql_allows_lists_everything() {
    let world = World::new().await;
    let admin = world.login("admin").await.access;
    let all = world.get("/api/v1/audit-events", &admin).await.body["items"].clone();
    assert!(!all.as_array().unwrap().is_empty());
    for since in
        ["-5000-01-01T00:00:00Z", "-262000-01-01T00:00:00Z", "0000-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
    {
        let found = world.get(&format!("/api/v1/audit-events?since={since}"), &admin).await;
        assert_eq!((found.status, &found.body["items"]), (200, &all), "{since}");
    }
    let found = world.get("/api/v1/audit-events?since=%2B262000-01-01T00:00:00Z", &admin).await;
    assert_eq!(found.body["items"], json!([]));
}
