//! Former secrets of a session are accepted for a limited time.

use std::time::Duration;

use chrono::TimeDelta;
use doorward::database::feed::FeedState;
use doorward_test::{Browser, PASSWORD, Tokens, World};
use reqwest::Method;
use serde_json::json;

use super::{LATER, OLD, SUPERSEDED, auth_time, csrf, me, old_session, send, step_up, step_up_on_page};

#[actix_web::test]
async fn former_secrets_are_accepted_until_the_grace_ends() {
    let world = World::with(|settings| settings.refresh_grace = Duration::from_secs(600)).await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let former = Browser::with(&world, browser.cookies.clone());
    let tokens = old_session(&world, "alice").await;
    let old = auth_time(&me(&former).await);
    let old_of_chain = auth_time(&world.get("/api/v1/me", &tokens.access).await);
    step_up_on_page(&mut browser).await;
    let owner = Tokens::of(&step_up(&world, &tokens.access).await);
    world.advance(TimeDelta::hours(1));
    assert_eq!(auth_time(&me(&former).await), old, "nothing later was presented");
    let mut held = Tokens::of(&world.refresh(&tokens.refresh).await);
    assert_eq!(me(&browser).await.status, 200);
    assert_eq!(world.refresh(&owner.refresh).await.status, 200);
    for _ in 0..2 {
        world.advance(TimeDelta::minutes(4));
        assert_eq!(auth_time(&me(&former).await), old);
        let again = world.refresh(&held.refresh).await;
        assert_eq!(auth_time(&world.get("/api/v1/me", &again.text("access_token")).await), old_of_chain);
        // A repeat within the grace is forgiven.
        assert_eq!(world.refresh(&held.refresh).await.text("refresh_token"), again.text("refresh_token"));
        held = Tokens::of(&again);
    }
    world.advance(TimeDelta::minutes(3));
    me(&former).await.refused("token_unknown");
    world.get("/api/v1/me", &held.access).await.refused("token_revoked");
    world.refresh(&held.refresh).await.refused("refresh_token_reused");
}

#[actix_web::test]
async fn former_cookie_ends_at_the_first_use_without_grace() {
    let world = World::with(|settings| settings.refresh_grace = Duration::ZERO).await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let former = Browser::with(&world, browser.cookies.clone());
    step_up_on_page(&mut browser).await;
    assert_eq!(me(&former).await.status, 200);
    assert_eq!(me(&browser).await.status, 200);
    me(&former).await.refused("token_unknown");
}

#[actix_web::test]
async fn renewal_applies_on_another_node_and_after_a_restart() {
    let world = World::new().await;
    let other = world.another_node().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let held = browser.cookies.clone();
    let there = Browser::with(&other, held.clone());
    world.advance(OLD);
    let old = auth_time(&me(&there).await);
    step_up_on_page(&mut browser).await;
    assert_eq!(auth_time(&me(&there).await), old);
    // The new cookie is first used on the other node, which has the old one in its cache.
    assert_ne!(auth_time(&me(&Browser::with(&other, browser.cookies.clone())).await), old);
    assert_eq!(auth_time(&me(&there).await), old, "both are remembered apart");
    assert_eq!(world.count(SUPERSEDED), 1);
    world.advance(LATER);
    me(&Browser::with(&world, held.clone())).await.refused("token_unknown");
    let restarted = world.another_node().await;
    me(&Browser::with(&restarted, held)).await.refused("token_unknown");
    assert_eq!(me(&Browser::with(&restarted, browser.cookies.clone())).await.status, 200);
}

#[actix_web::test]
async fn renewal_applies_while_the_feed_is_silent() {
    let mut world = World::with(|settings| settings.refresh_grace = Duration::from_secs(600)).await;
    world.user("alice", "member");
    world.stop_following();
    while world.state.core.database.feed().state() != FeedState::Silent {
        tokio::task::yield_now().await;
    }
    let mut browser = Browser::signed_in(&world, "alice").await;
    let former = Browser::with(&world, browser.cookies.clone());
    let tokens = old_session(&world, "alice").await;
    let owner = Tokens::of(&step_up(&world, &tokens.access).await);
    let old = auth_time(&me(&former).await);
    step_up_on_page(&mut browser).await;
    assert_ne!(auth_time(&me(&browser).await), old);
    assert_eq!(auth_time(&me(&former).await), old);
    assert_eq!(world.get("/api/v1/me", &owner.access).await.status, 200);
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
    world.flush().await;
    let past = "UPDATE former_secrets SET superseded_at = superseded_at - interval '1 hour'";
    world.sql_and_clear_cache(past);
    me(&former).await.refused("token_unknown");
    world.get("/api/v1/me", &tokens.access).await.refused("token_revoked");
}

#[actix_web::test]
async fn owner_sees_the_renewal_in_the_explanation() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let former = Browser::with(&world, browser.cookies.clone());
    let token = csrf(&browser).await;
    step_up_on_page(&mut browser).await;
    assert_eq!(me(&browser).await.status, 200);
    world.advance(LATER);
    let body = json!({ "request_id": me(&former).await.text("request_id") });
    let told = send(&browser, &token, "/api/v1/auth/explain", body.clone()).await;
    assert_eq!(told.body["problem"]["reason"], "session_renewed", "{}", told.body);
    let life = told.body["history"].as_array().expect("its own");
    let renewed = life.iter().find(|event| event["event"] == "session_renewed").expect("the renewal");
    assert_eq!(renewed["text"], "the session got a new cookie");
    let failed = told.body["checks"].as_array().unwrap().iter().find(|line| line["outcome"] == "failed");
    assert_eq!(failed.unwrap()["check"], "revocation");
    // Strangers do not see the history.
    let told = world.ask(Method::POST, "/api/v1/auth/explain").json(&body).send().await;
    assert!(
        told.body["history"].is_null() && told.body["problem"]["code"] == "token_unknown",
        "{}",
        told.body
    );
}

#[actix_web::test]
async fn explained_tokens_do_not_count_as_presented() {
    let world = World::new().await;
    world.user("alice", "member");
    let tokens = old_session(&world, "alice").await;
    let owner = Tokens::of(&step_up(&world, &tokens.access).await);
    for pasted in [&owner.access, &owner.refresh, &tokens.access, &tokens.refresh] {
        let ask = world.ask(Method::POST, "/api/v1/auth/explain");
        let told = ask.json(&json!({ "token": pasted })).send().await;
        assert_ne!(told.body["verdict"], "refused", "{}", told.body);
    }
    world.flush().await;
    assert_eq!(world.count(SUPERSEDED), 0);
    assert_eq!(world.get("/api/v1/me", &owner.access).await.status, 200);
    world.flush().await;
    assert_eq!(world.count(SUPERSEDED), 1);
}

#[actix_web::test]
async fn session_ends_when_its_renewals_are_used_up() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    world.sql_and_clear_cache(
        "UPDATE refresh_tokens SET generation = 2147483000, first_generation = 2147480000",
    );
    let refused = world.post("/api/v1/auth/step-up", &alice.access, json!({ "password": PASSWORD })).await;
    assert_eq!(refused.refused("session_ended").body["reason"], "renewals_used_up");
    world.get("/api/v1/me", &alice.access).await.refused("session_ended");
    assert_eq!(world.events("session_ended"), 1);
    assert!(!world.login("alice").await.access.is_empty(), "another sign-in is as good");
}
