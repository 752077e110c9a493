//! The caller's own sessions, and when each was last used.

use chrono::TimeDelta;
use doorward_test::{PASSWORD, World};
use serde_json::{Value, json};

use super::{pointers, uses_of_tokens};

#[actix_web::test]
async fn own_sessions_are_listed_and_ended_singly_or_all_others() {
    let world = World::new().await;
    world.user("alice", "member");
    world.user("bob", "member");
    let bob = world.login("bob").await;
    let here = world.login_with(json!({"username": "alice", "password": PASSWORD, "device": "here"})).await;
    let there = world.login_with(json!({"username": "alice", "password": PASSWORD, "device": "there"})).await;
    let third = world.login("alice").await;
    let listed = world.get("/api/v1/me/sessions", &here.access).await;
    let items = listed.body["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 3);
    let current: Vec<&Value> = items.iter().filter(|item| item["current"] == true).collect();
    assert_eq!((current.len(), &current[0]["device"]), (1, &json!("here")));
    assert!(items.iter().all(|item| item["kind"] == "api" && item["address"] == "127.0.0.1"));

    let id = items.iter().find(|item| item["device"] == "there").unwrap()["id"].as_str().unwrap().to_owned();
    world.delete(&format!("/api/v1/me/sessions/{id}"), &bob.access).await.refused("not_found");
    assert_eq!(world.delete(&format!("/api/v1/me/sessions/{id}"), &here.access).await.status, 204);
    let refused = world.get("/api/v1/me", &there.access).await;
    assert_eq!(refused.refused("session_ended").body["reason"], "ended_by_user");
    world.delete(&format!("/api/v1/me/sessions/{id}"), &here.access).await.refused("not_found");

    assert_eq!(world.delete("/api/v1/me/sessions", &here.access).await.status, 204);
    world.get("/api/v1/me", &third.access).await.refused("session_ended");
    assert_eq!(world.get("/api/v1/me", &here.access).await.status, 200);
    assert_eq!(world.get("/api/v1/me", &bob.access).await.status, 200);
}

#[actix_web::test]
async fn last_use_of_a_session_is_written_in_batches() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    world.advance(TimeDelta::minutes(3));
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
    let stale = "SELECT count(*) FROM sessions WHERE last_used_at < created_at + interval '1 minute'";
    assert_eq!(world.count(stale), 1);
    world.flush().await;
    assert_eq!(world.count(stale), 0);
    assert_eq!(world.count("SELECT used_generation::bigint AS count FROM refresh_tokens"), 1);
}

#[actix_web::test]
async fn locked_refresh_token_row_is_written_at_the_next_flush() {
    use diesel::connection::SimpleConnection;
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    world.get("/api/v1/me", &tokens.access).await;
    let mut owner = world.connection();
    owner.batch_execute("BEGIN; SELECT * FROM refresh_tokens FOR UPDATE").unwrap();
    world.flush().await;
    let used = "SELECT used_generation::bigint AS count FROM refresh_tokens";
    assert_eq!(world.count(used), 0);
    owner.batch_execute("COMMIT").unwrap();
    world.flush().await;
    assert_eq!(world.count(used), 1);
}

#[actix_web::test]
async fn unwritable_uses_are_written_at_the_next_flush() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (token, _) = world.personal_token(&tokens.access, "notes:read").await;
    world
        .sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$");
    for table in ["refresh_tokens", "personal_tokens"] {
        assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
        assert_eq!(world.get("/api/v1/notes", &token).await.status, 200);
        world.sql(&format!(
            "CREATE TRIGGER refuse BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
        ));
        world.state.recorder.last_use.flush(&world.state.core.database).await.unwrap_err();
        assert_eq!(uses_of_tokens(&world), 0, "{table}");
        world.sql(&format!("DROP TRIGGER refuse ON {table}"));
        world.flush().await;
        assert_eq!(uses_of_tokens(&world), 1, "{table}");
        assert_eq!(world.count("SELECT used_generation::bigint AS count FROM refresh_tokens"), 1);
        world.sql_and_clear_cache(
            "UPDATE refresh_tokens SET used_generation = 0; UPDATE personal_tokens SET last_used_at = NULL",
        );
    }
}

#[actix_web::test]
async fn session_list_is_paginated_and_refuses_other_parameters() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    for _ in 0..4 {
        world.login("alice").await;
    }
    let admin = world.login("admin").await;
    let own = "/api/v1/me/sessions".to_owned();
    let of_user =
        format!("/api/v1/users/{}/sessions", world.get("/api/v1/me", &tokens.access).await.text("id"));
    for (path, bearer) in [(own, &tokens.access), (of_user, &admin.access)] {
        let whole = world.get(&path, bearer).await.body;
        let ids = |page: &Value| -> Vec<Value> {
            page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect()
        };
        assert_eq!((ids(&whole).len(), &whole["next_cursor"]), (5, &Value::Null));
        let (mut seen, mut next) = (Vec::new(), format!("{path}?limit=2"));
        loop {
            let page = world.get(&next, bearer).await.body;
            assert!(ids(&page).len() <= 2);
            seen.extend(ids(&page));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            next = format!("{path}?limit=2&cursor={cursor}");
        }
        assert_eq!(seen, ids(&whole));
        let refused = world.get(&format!("{path}?limit=0&foo=1&cursor=x"), bearer).await;
        let pointers = pointers(refused.refused("validation_failed"));
        assert_eq!(pointers, ["/limit", "/foo", "/cursor"]);
    }
}
