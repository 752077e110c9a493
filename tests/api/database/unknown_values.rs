//! A value that a later version wrote into the database is shown as it is, is never an error, and authorizes
//! no one.

use doorward_test::{Answer, Browser, PASSWORD, World};
use reqwest::Method;
use serde_json::{Value, json};

/// Returns what `world` explains about a token to an administrator.
async fn explained(world: &World, token: &str) -> String {
    let admin = world.login("admin").await.access;
    let answer = world.post("/api/v1/auth/explain", &admin, json!({ "token": token })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body.to_string()
}

fn page(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body.as_str().expect("HTML")
}

#[actix_web::test]
async fn unknown_status_is_shown_and_is_not_active() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let alice = world.login("alice").await;
    let (personal, _) = world.personal_token(&alice.access, "account:read").await;
    let browser = Browser::signed_in(&world, "alice").await;
    let admin = world.login("admin").await.access;
    let path = format!("/api/v1/users/{id}");
    world.sql_and_clear_cache(
        "ALTER TABLE users DROP CONSTRAINT users_status_check;
         UPDATE users SET status = 'suspended' WHERE username = 'alice'",
    );
    for token in [&alice.access, &personal] {
        world.get("/api/v1/me", token).await.refused("account_disabled");
        assert!(explained(&world, token).await.contains("suspended"));
    }
    browser.ask(Method::GET, "/api/v1/me").send().await.refused("account_disabled");
    world.refresh(&alice.refresh).await.refused("account_disabled");
    let sign_in = json!({ "username": "alice", "password": PASSWORD });
    world.ask(Method::POST, "/api/v1/auth/login").json(&sign_in).send().await.refused("account_disabled");

    assert_eq!(world.get(&path, &admin).await.text("status"), "suspended");
    for (status, count) in [("active", 0), ("disabled", 0)] {
        let listed = world.get(&format!("/api/v1/users?q=alice&status={status}"), &admin).await;
        assert_eq!(listed.body["items"].as_array().unwrap().len(), count, "{status}");
    }
    let mut root = Browser::signed_in(&world, "admin").await;
    assert!(page(&root.get(&format!("/admin/users/{id}")).await).contains("alice"));
    world.patch(&path, &admin, json!({ "status": "suspended" })).await.refused("validation_failed");
    let enabled = world.patch(&path, &admin, json!({ "status": "active" })).await;
    assert_eq!(enabled.text("status"), "active");
    assert_eq!(world.refresh(&alice.refresh).await.status, 200);
}

#[actix_web::test]
async fn change_needs_a_known_status() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    // The cache still has the earlier status, so only the change's own check sees this one.
    let statements = "ALTER TABLE users DROP CONSTRAINT users_status_check;
         UPDATE users SET status = 'suspended' WHERE username = 'alice'";
    assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200);
    diesel::connection::SimpleConnection::batch_execute(&mut world.connection(), statements).unwrap();
    let body = json!({ "title": "a note", "body": "" });
    world.post("/api/v1/notes", &alice.access, body).await.refused("account_disabled");
}

#[actix_web::test]
async fn unknown_end_reason_is_shown_and_ends() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&alice.access, "account:read").await;
    world.sql_and_clear_cache(
        "UPDATE personal_tokens SET revoked_at = now(), revoked_reason = 'new_policy';
         UPDATE refresh_tokens SET ended_at = now(), ended_reason = 'new_policy';
         UPDATE sessions SET ended_at = now(), ended_reason = 'new_policy' WHERE user_id = (
             SELECT id FROM users WHERE username = 'alice')",
    );
    let refused = world.get("/api/v1/me", &alice.access).await;
    assert_eq!(refused.refused("session_ended").text("reason"), "new_policy");
    let refused = world.refresh(&alice.refresh).await;
    assert_eq!(refused.refused("session_ended").text("reason"), "new_policy");
    let refused = world.get("/api/v1/me", &personal).await;
    assert_eq!(refused.refused("token_revoked").text("reason"), "new_policy");
    assert!(explained(&world, &alice.access).await.contains("the session ended: new policy"));
    assert!(explained(&world, &personal).await.contains("the token was revoked: new policy"));
}

#[actix_web::test]
async fn unknown_session_kind_and_event_are_shown() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let admin = world.login("admin").await.access;
    let mut browser = Browser::signed_in(&world, "alice").await;
    world.sql_and_clear_cache(
        "ALTER TABLE sessions DROP CONSTRAINT sessions_kind_check;
         UPDATE sessions SET kind = 'device' WHERE kind = 'api';
         DELETE FROM audit_events;
         INSERT INTO audit_events (id, type, subject_id, subject_name, details)
             SELECT gen_random_uuid(), 'quota_raised', id, username, '{\"reason\": 7}' FROM users WHERE username = 'alice';
         INSERT INTO audit_events (id, type, subject_id, subject_name, session_id, details)
             SELECT gen_random_uuid(), 'session_ended', user_id, 'alice', id, '{\"reason\": \"new_policy\"}'
             FROM sessions WHERE user_id = (SELECT id FROM users WHERE username = 'alice') AND kind = 'device'",
    );
    let sessions = world.get("/api/v1/me/sessions", &alice.access).await;
    let kinds: Vec<&Value> =
        sessions.body["items"].as_array().unwrap().iter().map(|item| &item["kind"]).collect();
    assert_eq!(kinds, ["browser", "device"]);
    assert!(page(&browser.get("/account/sessions").await).contains("device"));
    let shown = browser.get("/account/activity").await;
    assert!(page(&shown).contains("quota raised") && page(&shown).contains("A session ended: new policy."));
    let events = world.get("/api/v1/audit-events", &admin).await;
    assert!(events.body["items"].as_array().unwrap().iter().any(|event| event["type"] == "quota_raised"));
    world.get("/api/v1/audit-events?type=quota_raised", &admin).await.refused("validation_failed");
    assert!(explained(&world, &alice.access).await.contains("signed in (device session)"));
}
