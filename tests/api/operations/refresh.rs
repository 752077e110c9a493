//! The checks before a rotation, and the access token that a refresh issues.

use chrono::TimeDelta;
use doorward_test::{PASSWORD, Tokens, World};
use reqwest::Method;
use serde_json::json;

#[actix_web::test]
async fn disabled_user_cannot_refresh_and_the_token_stays_unused() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let tokens = world.login("alice").await;
    let admin = world.login("admin").await;
    let path = format!("/api/v1/users/{id}");
    assert_eq!(world.patch(&path, &admin.access, json!({"status": "disabled"})).await.status, 200);
    world.refresh(&tokens.refresh).await.refused_with("account_disabled", "contact_admin", false);
    assert_eq!(world.patch(&path, &admin.access, json!({"status": "active"})).await.status, 200);
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200, "the session went on");
}

#[actix_web::test]
async fn role_change_applies_at_refresh_and_revokes_access_tokens() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let tokens = world.login("alice").await;
    let admin = world.login("admin").await;
    world.patch(&format!("/api/v1/users/{id}"), &admin.access, json!({"role": "viewer"})).await;
    let refused = world.get("/api/v1/notes", &tokens.access).await;
    refused.refused_with("token_revoked", "refresh", false);
    assert_eq!(refused.body["reason"], "role_changed");
    let refreshed = world.refresh(&tokens.refresh).await;
    assert_eq!(refreshed.body["scope"], "account:read account:write notes:read");
    let refused =
        world.post("/api/v1/notes", &refreshed.text("access_token"), json!({"title": "x", "body": ""})).await;
    refused.refused_with("permission_denied", "request_access", false);
}

#[actix_web::test]
async fn scope_narrows_one_access_token_and_a_refusal_does_not_rotate() {
    let world = World::new().await;
    world.user("alice", "member");
    let body = json!({"username": "alice", "password": PASSWORD, "scope": "notes:read notes:write"});
    let tokens = world.login_with(body).await;
    let ask = |scope: &str| json!({"refresh_token": tokens.refresh, "scope": scope});
    let path = "/api/v1/auth/refresh";
    let refused = world.ask(reqwest::Method::POST, path).json(&ask("account:read")).send().await;
    refused.refused_with("insufficient_scope", "login", false);
    assert_eq!(refused.body["granted"], json!(["notes:read", "notes:write"]));
    assert_eq!(world.count("SELECT generation::bigint AS count FROM refresh_tokens"), 1);
    world.ask(reqwest::Method::POST, path).json(&ask("nots:read")).send().await.refused("validation_failed");
    let narrowed = world.ask(reqwest::Method::POST, path).json(&ask("notes:read")).send().await;
    assert_eq!(narrowed.body["scope"], "notes:read");
    let note = json!({"title": "x", "body": ""});
    let refused = world.post("/api/v1/notes", &narrowed.text("access_token"), note).await;
    refused.refused_with("insufficient_scope", "refresh", false);
    let wide = world.refresh(&narrowed.text("refresh_token")).await;
    assert_eq!(wide.body["scope"], "notes:read notes:write");
}

#[actix_web::test]
async fn deleted_account_is_reported_for_every_credential() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let tokens = world.login("alice").await;
    let (personal, _) = world.personal_token(&tokens.access, "notes:read").await;
    let admin = world.login("admin").await;
    assert_eq!(world.delete(&format!("/api/v1/users/{id}"), &admin.access).await.status, 204);
    world.get("/api/v1/me", &tokens.access).await.refused_with("account_deleted", "contact_admin", true);
    world.refresh(&tokens.refresh).await.refused("account_deleted");
    world.get("/api/v1/me", &personal).await.refused("account_deleted");
}

#[actix_web::test]
async fn refreshed_session_expires_at_its_absolute_end() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let mut live = tokens.refresh;
    for _ in 0..3 {
        world.advance(TimeDelta::days(29));
        let answer = world.refresh(&live).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        live = answer.text("refresh_token");
    }
    world.advance(TimeDelta::days(4));
    world.refresh(&live).await.refused_with("session_expired", "login", true);
}

#[actix_web::test]
async fn wrong_token_type_is_distinguished_from_a_malformed_token() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&tokens.access, "notes:read").await;
    for (token, found) in [(&tokens.access, "access_token"), (&personal, "personal_token")] {
        let refused = world.refresh(token).await;
        refused.refused_with("token_type_mismatch", "fix_request", false);
        assert_eq!(
            (&refused.body["expected"], &refused.body["found"]),
            (&json!("refresh_token"), &json!(found))
        );
    }
    world.advance(TimeDelta::minutes(10));
    world.refresh(&tokens.access).await.refused("token_type_mismatch");
    for token in ["", "abc", "dwr_", "dwr_abc", "dwp_abc"] {
        world.refresh(token).await.refused("token_malformed");
    }
    let forged = format!("{}AAAA", &tokens.refresh[..tokens.refresh.len() - 4]);
    world.refresh(&forged).await.refused_with("token_signature_invalid", "login", false);
    world.sql_and_clear_cache("DELETE FROM sessions");
    world.refresh(&tokens.refresh).await.refused_with("refresh_token_unknown", "login", true);
}

#[actix_web::test]
async fn refused_refresh_records_the_check_that_failed() {
    let world = World::new().await;
    let admin = world.login("admin").await;
    for (code, check) in [
        ("refresh_token_reused", "revocation"),
        ("session_ended", "session"),
        ("session_expired", "session"),
        ("refresh_token_unknown", "session"),
        ("account_disabled", "user"),
        ("insufficient_scope", "scope"),
    ] {
        let id = world.user(code, "member");
        let tokens = world.login(code).await;
        let mut body = json!({ "refresh_token": tokens.refresh });
        let of_user = format!("session_id IN (SELECT id FROM sessions WHERE user_id = '{id}')");
        match code {
            "refresh_token_reused" => {
                let second = Tokens::of(&world.refresh(&tokens.refresh).await);
                world.refresh(&second.refresh).await;
                world.sql_and_clear_cache(&format!(
                    "UPDATE refresh_tokens SET rotated_at = '{{}}' WHERE {of_user}"
                ));
            }
            "session_ended" => drop(world.post("/api/v1/auth/logout", &tokens.access, json!({})).await),
            "session_expired" => {
                world.sql_and_clear_cache(&format!(
                    "UPDATE refresh_tokens SET expires_at = now() WHERE {of_user}"
                ));
            }
            "refresh_token_unknown" => {
                world.sql_and_clear_cache(&format!("DELETE FROM sessions WHERE user_id = '{id}'"))
            }
            "account_disabled" => {
                let status = json!({"status": "disabled"});
                drop(world.patch(&format!("/api/v1/users/{id}"), &admin.access, status).await);
            }
            _ => body["scope"] = json!("users:write"),
        }
        let refused = world.ask(Method::POST, "/api/v1/auth/refresh").json(&body).send().await;
        let request_id = refused.refused(code).text("request_id");
        world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
        let failed = format!(
            "SELECT line->>'check' AS text FROM refusals, jsonb_array_elements(checks) AS line
             WHERE request_id = '{request_id}' AND line->>'outcome' = 'failed'"
        );
        assert_eq!(world.text(&failed), check, "{code}");
    }
}
