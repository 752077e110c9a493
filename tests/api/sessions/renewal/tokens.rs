//! The tokens of a session that stepped up or has another password.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use doorward::config::SimplejwtRoutes;
use doorward_test::{Browser, PASSWORD, Tokens, World};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{LATER, NEW, csrf, me, old_session, send, step_up};

#[actix_web::test]
async fn password_change_of_an_api_client_keeps_its_tokens() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let body = json!({ "current_password": PASSWORD, "new_password": NEW });
    let changed = world.post("/api/v1/me/password", &tokens.access, body).await;
    assert_eq!((changed.status, changed.header("set-cookie")), (204, None));
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200);
}

#[actix_web::test]
async fn copied_tokens_gain_nothing_from_a_step_up() {
    let world = World::new().await;
    let copied = old_session(&world, "admin").await;
    let body = |name: &str| json!({ "username": name, "role": "admin" });
    let owner = Tokens::of(&step_up(&world, &copied.access).await);
    world.post("/api/v1/users", &copied.access, body("mallory")).await.refused("authentication_too_old");
    let thief = Tokens::of(&world.refresh(&copied.refresh).await);
    world.post("/api/v1/users", &thief.access, body("mallory")).await.refused("authentication_too_old");
    assert_eq!(world.post("/api/v1/users", &owner.access, body("bob")).await.status, 201);
    world.flush().await;
    // The token is refreshed within the grace, but its sign-in is as old as before.
    let thief = Tokens::of(&world.refresh(&thief.refresh).await);
    world.post("/api/v1/users", &thief.access, body("mallory")).await.refused("authentication_too_old");
    world.advance(LATER);
    let refused = world.get("/api/v1/me", &thief.access).await;
    refused.refused_with("token_revoked", "refresh", false);
    assert_eq!(refused.body["reason"], "session_renewed");
    assert_eq!(world.get("/api/v1/me", &owner.access).await.status, 200);
    world.refresh(&thief.refresh).await.refused_with("refresh_token_reused", "login", true);
    world.refresh(&owner.refresh).await.refused("session_ended");
    assert_eq!(world.events("refresh_token_reused"), 1);
}

#[actix_web::test]
async fn lost_step_up_responses_keep_the_refresh_token_valid() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut held = old_session(&world, "alice").await;
    for _ in 0..3 {
        step_up(&world, &held.access).await;
        for pause in [LATER, TimeDelta::days(20)] {
            let spent = held.refresh.clone();
            held = Tokens::of(&world.refresh(&spent).await);
            world.advance(pause);
            let again = Tokens::of(&world.refresh(&spent).await);
            assert_eq!(again.refresh, held.refresh, "a lost answer is given again, here too");
            held.access = again.access;
        }
    }
    let me = world.get("/api/v1/me", &held.access).await;
    assert_eq!(me.status, 200, "{}", me.body);
    world.flush().await;
    // The fourth response arrives.
    let owner = Tokens::of(&step_up(&world, &held.access).await);
    assert_eq!(world.refresh(&owner.refresh).await.status, 200);
    world.advance(LATER);
    world.refresh(&held.refresh).await.refused("refresh_token_reused");
}

#[actix_web::test]
async fn replay_of_a_former_refresh_token_is_still_detected() {
    let world = World::new().await;
    world.user("alice", "member");
    let first = old_session(&world, "alice").await;
    step_up(&world, &first.access).await;
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    assert_eq!(world.get("/api/v1/me", &second.access).await.status, 200);
    world.flush().await;
    world.advance(LATER);
    world.refresh(&first.refresh).await.refused("refresh_token_reused");
    world.refresh(&second.refresh).await.refused("session_ended");
    let reasons = "SELECT count(*) FROM sessions JOIN refresh_tokens ON session_id = id
        WHERE sessions.ended_reason = 'refresh_token_reused' AND refresh_tokens.ended_reason = sessions.ended_reason";
    assert_eq!(world.count(reasons), 1);
}

#[actix_web::test]
async fn renewed_session_accepts_repeats_and_detects_replays() {
    let world = World::new().await;
    world.user("alice", "member");
    let old = old_session(&world, "alice").await;
    let first = Tokens::of(&step_up(&world, &old.access).await);
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    world.advance(LATER);
    assert_eq!(world.refresh(&first.refresh).await.text("refresh_token"), second.refresh, "never seen");
    assert_eq!(world.refresh(&second.refresh).await.status, 200);
    world.advance(LATER);
    world.refresh(&first.refresh).await.refused("refresh_token_reused");
}

#[actix_web::test]
async fn tokens_of_twenty_simultaneous_step_ups_all_work() {
    let world = World::new().await;
    let other = world.another_node().await;
    let tokens = world.signed_in("alice", "member").await;
    let nodes = (0..20).map(|n| if n % 2 == 0 { &world } else { &other });
    let answers = join_all(nodes.map(|node| step_up(node, &tokens.access))).await;
    let renewed: Vec<Tokens> = answers.iter().map(Tokens::of).collect();
    let distinct: BTreeSet<&String> = renewed.iter().map(|tokens| &tokens.refresh).collect();
    assert_eq!(distinct.len(), 20);
    for tokens in renewed.iter().chain([&tokens]) {
        assert_eq!(world.refresh(&tokens.refresh).await.status, 200);
        assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
    }
    assert_eq!(world.events("refresh_token_reused"), 0);
}

#[actix_web::test]
async fn step_up_during_twenty_refreshes_keeps_every_token_valid() {
    let world = World::new().await;
    let other = world.another_node().await;
    let tokens = world.signed_in("alice", "member").await;
    let nodes = (0..20).map(|n| if n % 2 == 0 { &world } else { &other });
    let refreshes = join_all(nodes.map(|node| node.refresh(&tokens.refresh)));
    let (answers, stepped_up) = tokio::join!(refreshes, step_up(&world, &tokens.access));
    let successors: BTreeSet<String> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.text("refresh_token")
        })
        .collect();
    assert_eq!(successors.len(), 1, "one live successor");
    assert_eq!(world.events("refresh_token_reused"), 0);
    assert_eq!(world.refresh(&stepped_up.text("refresh_token")).await.status, 200);
}

#[actix_web::test]
async fn any_refresh_token_of_the_session_signs_it_out() {
    let world = World::new().await;
    world.user("alice", "member");
    let tokens = old_session(&world, "alice").await;
    let owner = Tokens::of(&step_up(&world, &tokens.access).await);
    let body = json!({ "refresh_token": tokens.refresh });
    assert_eq!(world.ask(Method::POST, "/api/v1/auth/logout").json(&body).send().await.status, 204);
    world.refresh(&owner.refresh).await.refused("session_ended");
}

#[actix_web::test]
async fn many_lost_responses_keep_the_secrets_of_the_client_valid() {
    let world = World::new().await;
    world.user("alice", "member");
    let browser = Browser::signed_in(&world, "alice").await;
    let token = csrf(&browser).await;
    let tokens = world.login("alice").await;
    for _ in 0..40 {
        let body = json!({ "password": PASSWORD });
        assert_eq!(send(&browser, &token, "/api/v1/auth/step-up", body).await.status, 204);
        step_up(&world, &tokens.access).await;
    }
    assert_eq!(world.count("SELECT count(*) FROM former_secrets"), 66, "33 of each session");
    assert_eq!(me(&browser).await.status, 200);
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200);
}

#[actix_web::test]
async fn forgotten_former_token_of_a_renewed_session_is_a_replay() {
    let world = World::new().await;
    world.user("alice", "member");
    let tokens = old_session(&world, "alice").await;
    let owner = Tokens::of(&step_up(&world, &tokens.access).await);
    world.sql_and_clear_cache("DELETE FROM former_secrets");
    world.refresh(&tokens.refresh).await.refused("refresh_token_reused");
    world.refresh(&owner.refresh).await.refused("session_ended");
    // Nothing is known about a session that was never renewed.
    let tokens = world.login("alice").await;
    world.sql_and_clear_cache(
        "UPDATE refresh_tokens SET secret_digest = sha256(secret_digest) WHERE ended_at IS NULL",
    );
    world.refresh(&tokens.refresh).await.refused("refresh_token_unknown");
}

#[actix_web::test]
async fn former_refresh_token_is_subject_to_the_same_checks() {
    let world = World::new().await;
    let id = world.user("alice", "member");
    let admin = world.login("admin").await;
    let tokens = old_session(&world, "alice").await;
    step_up(&world, &tokens.access).await;
    let path = "/api/v1/auth/refresh";
    let ask = |scope: &str| json!({ "refresh_token": tokens.refresh, "scope": scope });
    world.ask(Method::POST, path).json(&ask("users:read")).send().await.refused("insufficient_scope");
    let narrowed = world.ask(Method::POST, path).json(&ask("notes:read")).send().await;
    assert_eq!(narrowed.body["scope"], "notes:read");
    let held = narrowed.text("refresh_token");
    let user = format!("/api/v1/users/{id}");
    let admin = Tokens::of(&world.refresh(&admin.refresh).await);
    let admin = Tokens::of(&step_up(&world, &admin.access).await);
    assert_eq!(world.patch(&user, &admin.access, json!({ "status": "disabled" })).await.status, 200);
    world.refresh(&held).await.refused("account_disabled");
    assert_eq!(world.patch(&user, &admin.access, json!({ "status": "active" })).await.status, 200);
    assert_eq!(world.refresh(&held).await.status, 200);
    world.sql_and_clear_cache("UPDATE refresh_tokens SET expires_at = now()");
    world.refresh(&held).await.refused("session_expired");
    world.sql_and_clear_cache("UPDATE refresh_tokens SET expires_at = now() + interval '1 day'");
    assert_eq!(world.delete(&user, &admin.access).await.status, 204);
    world.refresh(&held).await.refused("account_deleted");
}

#[actix_web::test]
async fn former_refresh_token_stays_valid_without_rotation() {
    let world = World::with(|settings| settings.simplejwt_routes = SimplejwtRoutes::On).await;
    world.user("alice", "member");
    let tokens = old_session(&world, "alice").await;
    step_up(&world, &tokens.access).await;
    for _ in 0..3 {
        let body = json!({ "refresh": tokens.refresh });
        let answer = world.ask(Method::POST, "/api/token/refresh/").json(&body).send().await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(world.get("/api/v1/me", &answer.text("access")).await.status, 200);
        world.flush().await;
        world.advance(TimeDelta::days(20));
    }
}
