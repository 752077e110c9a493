//! Signing in, stepping up and signing out.

use chrono::TimeDelta;
use doorward::database::find_time;
use doorward_test::{Answer, Browser, PASSWORD, World};
use reqwest::Method;
use serde_json::{Value, json};

async fn login(world: &World, body: Value) -> Answer {
    world.ask(Method::POST, "/api/v1/auth/login").json(&body).send().await
}

#[actix_web::test]
async fn sign_in_returns_both_tokens_as_documented() {
    let world = World::new().await;
    world.user("alice", "member");
    let answer =
        login(&world, json!({"username": "ALICE", "password": PASSWORD, "device": "a laptop"})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let members: Vec<&String> = answer.body.as_object().unwrap().keys().collect();
    let expected =
        ["access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in", "scope"];
    assert_eq!(members, expected);
    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"], 300);
    assert_eq!(answer.body["refresh_expires_in"], 2_592_000);
    assert_eq!(answer.body["scope"], "account:read account:write notes:read notes:write");
    let me = world.get("/api/v1/me", &answer.text("access_token")).await;
    assert_eq!((me.status, &me.body["username"]), (200, &json!("alice")));
    assert_eq!(me.header("cache-control"), Some("private, no-cache"));
    assert_eq!(me.header("vary"), Some("Authorization, Cookie"));
}

#[actix_web::test]
async fn user_signs_in_with_an_email_address() {
    let world = World::new().await;
    let admin = world.login("admin").await;
    let made = world
        .post(
            "/api/v1/users",
            &admin.access,
            json!({"username": "al", "email": "Al@Example.org", "password": PASSWORD}),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.body);
    world.login("AL@example.ORG").await;
}

#[actix_web::test]
async fn unknown_user_wrong_and_missing_password_are_refused_alike() {
    let world = World::new().await;
    world.user("alice", "member");
    let admin = world.login("admin").await;
    world.post("/api/v1/users", &admin.access, json!({"username": "nopassword"})).await;
    let mut answers = Vec::new();
    for name in ["alice", "nobody", "nopassword", "a\u{0}b", ""] {
        let answer = login(&world, json!({"username": name, "password": "wrong, but long enough"})).await;
        if name.contains('\0') {
            answer.refused("validation_failed");
            continue;
        }
        answer.refused_with("invalid_credentials", "login", false);
        assert_eq!(answer.challenges()[0], "Bearer realm=\"doorward\"");
        answers.push((answer.text("detail"), answer.text("title")));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(world.events("login_failed"), 4);
}

#[actix_web::test]
async fn disabled_account_is_reported_only_for_the_correct_password() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    world.sql_and_clear_cache(&format!("UPDATE users SET status = 'disabled' WHERE id = '{id}'"));
    login(&world, json!({"username": "alice", "password": "wrong, but long enough"}))
        .await
        .refused("invalid_credentials");
    login(&world, json!({"username": "alice", "password": PASSWORD})).await.refused_with(
        "account_disabled",
        "contact_admin",
        false,
    );
}

#[actix_web::test]
async fn sign_in_reports_all_errors_at_once() {
    let world = World::new().await;
    let answer = login(&world, json!({"username": 7, "device": "", "extra": true})).await;
    answer.refused("validation_failed");
    let pointers: Vec<&str> =
        answer.body["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/username", "/password", "/device", "/extra"]);
}

#[actix_web::test]
async fn narrow_scope_applies_to_the_whole_session() {
    let world = World::new().await;
    world.user("alice", "member");
    let body = json!({"username": "alice", "password": PASSWORD, "scope": "notes:read"});
    let tokens = world.login_with(body).await;
    let refused = world.post("/api/v1/notes", &tokens.access, json!({"title": "x", "body": ""})).await;
    refused.refused_with("insufficient_scope", "login", false);
    assert_eq!(refused.body["required"], json!(["notes:write"]));
    assert_eq!(refused.body["granted"], json!(["notes:read"]));
    assert_eq!(
        refused.challenges(),
        ["Bearer realm=\"doorward\", error=\"insufficient_scope\", scope=\"notes:write\""]
    );
    let refreshed = world.refresh(&tokens.refresh).await;
    assert_eq!(refreshed.body["scope"], "notes:read");
}

#[actix_web::test]
async fn scope_beyond_the_role_is_denied_and_a_misspelt_one_invalid() {
    let world = World::new().await;
    world.user("alice", "viewer");
    let ask = |scope: &str| json!({"username": "alice", "password": PASSWORD, "scope": scope});
    let refused = login(&world, ask("notes:write")).await;
    refused.refused_with("permission_denied", "request_access", false);
    assert_eq!(
        (&refused.body["required"], &refused.body["role"]),
        (&json!(["notes:write"]), &json!("viewer"))
    );
    let refused = login(&world, ask("note:read")).await;
    refused.refused("validation_failed");
    assert_eq!(refused.body["errors"][0]["pointer"], "/scope");
}

#[actix_web::test]
async fn password_of_another_cost_is_rehashed_at_sign_in() {
    let world = World::with(|settings| settings.bcrypt_cost = 5).await;
    world.user("alice", "member");
    world.login("alice").await;
    assert_eq!(world.count("SELECT password_cost::bigint AS count FROM users WHERE username = 'alice'"), 5);
    world.login("alice").await;
}

#[actix_web::test]
async fn least_recently_used_session_ends_beyond_the_limit() {
    let world = World::with(|settings| settings.max_sessions = 3).await;
    world.user("alice", "member");
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(world.login("alice").await);
        world.advance(TimeDelta::seconds(10));
    }
    // The oldest session is refreshed, so the second is now the one that was used longest ago.
    assert_eq!(world.refresh(&sessions[0].refresh).await.status, 200);
    world.advance(TimeDelta::seconds(10));
    sessions.push(world.login("alice").await);
    let ended = world.get("/api/v1/me", &sessions[1].access).await;
    ended.refused_with("session_ended", "login", true);
    assert_eq!(ended.body["reason"], "too_many_sessions");
    for kept in [0, 2, 3] {
        assert_eq!(world.get("/api/v1/me", &sessions[kept].access).await.status, 200, "session {kept}");
    }
}

#[actix_web::test]
async fn sign_out_ends_the_session_and_both_tokens_at_once() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let answer = world.post("/api/v1/auth/logout", &tokens.access, json!({})).await;
    assert_eq!(answer.status, 204);
    let refused = world.get("/api/v1/me", &tokens.access).await;
    refused.refused_with("session_ended", "login", true);
    assert_eq!(refused.body["reason"], "logout");
    world.refresh(&tokens.refresh).await.refused_with("session_ended", "login", true);
}

#[actix_web::test]
async fn any_genuine_refresh_token_signs_out_despite_a_bad_header() {
    let world = World::new().await;
    let first = world.signed_in("alice", "member").await;
    let second = world.refresh(&first.refresh).await;
    let body = json!({"refresh_token": first.refresh});
    for _ in 0..2 {
        let answer =
            world.ask(Method::POST, "/api/v1/auth/logout").bearer("nonsense").json(&body).send().await;
        assert_eq!(answer.status, 204, "{}", answer.body);
    }
    world.refresh(&second.text("refresh_token")).await.refused("session_ended");
    let (rest, last) = first.refresh.split_at(first.refresh.len() - 1);
    let forged = json!({"refresh_token": format!("{rest}{}", if last == "A" { "Q" } else { "A" })});
    let answer = world.ask(Method::POST, "/api/v1/auth/logout").json(&forged).send().await;
    assert_eq!(answer.status, 401);
    world.ask(Method::POST, "/api/v1/auth/logout").send().await.refused("credentials_missing");
}

#[actix_web::test]
async fn expired_session_can_still_be_signed_out() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    world.advance(TimeDelta::days(31));
    let refused = world.refresh(&tokens.refresh).await;
    refused.refused_with("session_expired", "login", true);
    let body = json!({"refresh_token": tokens.refresh});
    assert_eq!(world.ask(Method::POST, "/api/v1/auth/logout").json(&body).send().await.status, 204);
    world.refresh(&tokens.refresh).await.refused("session_ended");
}

#[actix_web::test]
async fn sensitive_action_requires_a_step_up_after_fifteen_minutes() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    world.advance(TimeDelta::minutes(16));
    let tokens = world.refresh(&tokens.refresh).await;
    let access = tokens.text("access_token");
    let token = json!({"name": "x", "scope": "notes:read"});
    let refused = world.post("/api/v1/me/tokens", &access, token.clone()).await;
    refused.refused_with("authentication_too_old", "step_up", false);
    assert_eq!(refused.body["max_age"], 900);
    assert_eq!(
        refused.challenges()[0],
        "Bearer realm=\"doorward\", error=\"insufficient_user_authentication\", max_age=\"900\""
    );
    let wrong = world.post("/api/v1/auth/step-up", &access, json!({"password": "not this one"})).await;
    wrong.refused("validation_failed");
    assert_eq!(wrong.body["errors"][0]["pointer"], "/password");
    let stepped_up = world.post("/api/v1/auth/step-up", &access, json!({"password": PASSWORD})).await;
    assert_eq!(stepped_up.status, 200, "{}", stepped_up.body);
    assert!(stepped_up.body["refresh_expires_in"].as_i64().is_some_and(|seconds| seconds > 2_591_990));
    let made = world.post("/api/v1/me/tokens", &stepped_up.text("access_token"), token.clone()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    // The whole session is fresh again, which the refresh token of the response proves.
    let refreshed = world.refresh(&stepped_up.text("refresh_token")).await;
    let made = world.post("/api/v1/me/tokens", &refreshed.text("access_token"), token).await;
    assert_eq!(made.status, 201);
}

async fn make_token(world: &World, access: &str) -> Answer {
    world.post("/api/v1/me/tokens", access, json!({"name": "x", "scope": "notes:read"})).await
}

#[actix_web::test]
async fn old_sign_in_stays_old_when_the_node_clock_is_set_back() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    world.advance(TimeDelta::seconds(902));
    let access = world.refresh(&tokens.refresh).await.text("access_token");
    // This is within the leeway of the token's times.
    world.state.core.clock.advance(TimeDelta::seconds(-4));
    make_token(&world, &access).await.refused("authentication_too_old");
    let mut browser = Browser::signed_in(&world, "alice").await;
    world.advance(TimeDelta::minutes(16));
    world.state.core.clock.advance(TimeDelta::minutes(-10));
    let answer = browser.get("/account/tokens/new").await;
    assert!(answer.header("location").is_some_and(|to| to.starts_with("/step-up")), "{}", answer.body);
}

#[actix_web::test]
async fn new_sign_in_is_fresh_when_the_node_clock_is_ahead() {
    let world = World::new().await;
    world.state.core.clock.advance(TimeDelta::minutes(20));
    world
        .state
        .core
        .database_clock
        .set(find_time(&mut world.connection()).unwrap(), world.state.core.clock.elapsed());
    let tokens = world.signed_in("alice", "member").await;
    assert_eq!(make_token(&world, &tokens.access).await.status, 201);
}

#[actix_web::test]
async fn sign_in_dated_ahead_is_not_fresh_beyond_the_leeway() {
    let world = World::new().await;
    world.stop_time();
    world.advance(TimeDelta::zero());
    let tokens = world.signed_in("alice", "member").await;
    for (ahead, is_fresh) in [(60, false), (7, false), (4, true), (0, true)] {
        world.sql_and_clear_cache(&format!(
            "UPDATE sessions SET auth_time = now() + interval '{ahead} seconds'"
        ));
        let access = world.refresh(&tokens.refresh).await.text("access_token");
        let answer = make_token(&world, &access).await;
        assert_eq!(answer.status, if is_fresh { 201 } else { 401 }, "{ahead}: {}", answer.body);
        if !is_fresh {
            answer.refused_with("authentication_too_old", "step_up", false);
            assert!(answer.text("detail").contains("ahead of the server's clock"), "{}", answer.body);
        }
    }
}

#[actix_web::test]
async fn freshness_uses_the_database_clock_before_the_feed_reads_it() {
    let world = World::without_feed().await;
    let tokens = world.signed_in("alice", "member").await;
    assert_eq!(world.state.core.database_clock.now(), None);
    world.state.core.clock.advance(TimeDelta::seconds(-4));
    assert_eq!(make_token(&world, &tokens.access).await.status, 201);
    world.sql_and_clear_cache("UPDATE sessions SET auth_time = now() - interval '901 seconds'");
    let access = world.refresh(&tokens.refresh).await.text("access_token");
    make_token(&world, &access).await.refused("authentication_too_old");
}

#[actix_web::test]
async fn step_up_does_not_confirm_a_lost_refresh_response() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    // The responses to this refresh and to the step-up are lost, and the client continues with its old
    // tokens.
    world.refresh(&tokens.refresh).await;
    assert_eq!(
        world.post("/api/v1/auth/step-up", &tokens.access, json!({"password": PASSWORD})).await.status,
        200
    );
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
    world.flush().await;
    world.advance(TimeDelta::minutes(2));
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200, "forgiven: its successor was never seen");
}

#[actix_web::test]
async fn correct_password_with_a_refused_scope_is_audited_as_failed() {
    let world = World::new().await;
    let id = world.user("alice", "viewer");
    for (scope, code) in [("notes:write", "permission_denied"), ("note:read", "validation_failed")] {
        let body = json!({"username": "ALICE", "password": PASSWORD, "scope": scope});
        let request_id = login(&world, body).await.refused(code).text("request_id");
        let noted =
            "SELECT concat_ws(' ', type, subject_id, subject_name, details) AS text FROM audit_events";
        assert_eq!(
            world.text(&format!("{noted} WHERE request_id = '{request_id}'")),
            format!("login_failed {id} alice {{\"code\": \"{code}\"}}")
        );
    }
    assert_eq!((world.events("login_failed"), world.events("login_succeeded")), (2, 0));
}
