//! The session cookie, its attributes, and the end of its session.

use std::sync::Arc;

use chrono::TimeDelta;
use doorward_test::{Browser, PASSWORD, World, refused_in_time};
use reqwest::Method;
use serde_json::json;

#[actix_web::test]
async fn sign_in_sets_a_cookie_that_the_api_accepts() {
    let world = World::new().await;
    world.user("alice", "member");
    let mut browser = Browser::new(&world);
    let answer = browser.sign_in("alice", PASSWORD, &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account")));
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["doorward=", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Secure"), "{cookie}");
    let me = browser.ask(Method::GET, "/api/v1/me").send().await;
    assert_eq!((me.status, &me.body["credential"]["kind"]), (200, &json!("session_cookie")));
    assert_eq!(me.body["username"], "alice");
    // The database stores a digest of the cookie's key, not the key itself.
    let value = cookie.split(['=', ';']).nth(1).unwrap();
    let key = &value[value.len() - 43..];
    assert_eq!(
        world.count(&format!(
            "SELECT count(*) FROM sessions WHERE kind = 'browser' AND cookie_digest = sha256('{key}'::bytea)"
        )),
        1
    );
}

#[actix_web::test]
async fn https_cookie_has_the_host_prefix_and_is_secure() {
    let world = World::with(|settings| {
        settings.public_url = doorward::config::PublicUrl::read("https://id.example").unwrap();
    })
    .await;
    world.user("alice", "member");
    let answer = Browser::new(&world).sign_in("alice", PASSWORD, &[("keep", "1")]).await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-doorward=") && cookie.contains("Secure"), "{cookie}");
    assert!(cookie.contains("; Max-Age=7776000"), "{cookie}");
}

#[actix_web::test]
async fn session_ends_when_unused_and_at_its_absolute_end() {
    let world = World::new().await;
    world.user("alice", "member");
    let browser = Browser::signed_in(&world, "alice").await;
    let mut kept = Browser::new(&world);
    kept.sign_in("alice", PASSWORD, &[("keep", "1")]).await;
    world.advance(TimeDelta::hours(13));
    let refused = browser.ask(Method::GET, "/api/v1/me").send().await;
    refused.refused_with("session_expired", "login", true);
    assert_eq!(kept.ask(Method::GET, "/api/v1/me").send().await.status, 200);
    for _ in 0..4 {
        world.flush().await;
        world.advance(TimeDelta::days(25));
        kept.ask(Method::GET, "/api/v1/me").send().await;
    }
    kept.ask(Method::GET, "/api/v1/me").send().await.refused("session_expired");
}

#[actix_web::test]
async fn sign_out_ends_the_session_on_every_node() {
    let world = World::new().await;
    world.user("alice", "member");
    let other = world.another_node().await;
    let mut browser = Browser::signed_in(&world, "alice").await;
    let old = browser.cookies.clone();
    let there = Browser::with(&other, old.clone());
    assert_eq!(there.ask(Method::GET, "/api/v1/me").send().await.status, 200, "two processes, one store");
    let answer = browser.fill_in("/account", "/logout", &[]).await;
    assert_eq!(answer.header("location"), Some("/login?signed_out=1"));
    assert!(!browser.cookies.contains_key("doorward"));
    let again = Browser::with(&world, old);
    // The session ends at once on this node, and within a second on the other.
    let refused = again.ask(Method::GET, "/api/v1/me").send().await;
    assert_eq!(refused.refused("session_ended").body["reason"], "logout");
    let refused = refused_in_time(async || there.ask(Method::GET, "/api/v1/me").send().await).await;
    assert_eq!(refused.refused("session_ended").body["reason"], "logout");
}

#[actix_web::test]
async fn session_survives_a_server_restart() {
    let world = World::new().await;
    world.user("alice", "member");
    let cookies = Browser::signed_in(&world, "alice").await.cookies;
    let database = Arc::clone(&world.database);
    drop(world);
    let restarted = World::on(database, |_| {}).await;
    let browser = Browser::with(&restarted, cookies);
    assert_eq!(browser.ask(Method::GET, "/api/v1/me").send().await.status, 200);
}

#[actix_web::test]
async fn sign_in_replaces_the_cookie_and_ends_the_previous_session() {
    let world = World::new().await;
    world.user("alice", "member");
    world.user("bob", "member");
    let mut browser = Browser::signed_in(&world, "alice").await;
    let before = browser.cookies["doorward"].clone();
    // A form from another browser, left open.
    let token = Browser::new(&world).form_token("/login").await;
    assert_eq!(browser.post("/login", &[("csrf_token", &token)]).await.status, 403);
    browser.cookies.remove("doorward");
    let token = browser.form_token("/login").await;
    browser.cookies.insert("doorward".to_owned(), before.clone());
    let fields = [("csrf_token", token.as_str()), ("username", "bob"), ("password", PASSWORD)];
    assert_eq!(browser.post("/login", &fields).await.status, 303);
    assert_ne!(browser.cookies["doorward"], before);
    let old = Browser::with(&world, [("doorward".to_owned(), before)].into());
    let refused = old.ask(Method::GET, "/api/v1/me").send().await;
    assert_eq!(refused.refused("session_ended").body["reason"], "signed_in_again");
}

#[actix_web::test]
async fn forged_cookie_is_refused_and_a_header_takes_precedence() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let forged = Browser::with(&world, [("doorward".into(), "forged".into())].into());
    forged.ask(Method::GET, "/api/v1/me").send().await.refused_with("token_unknown", "login", false);
    let good = Browser::signed_in(&world, "alice").await;
    let both = good.ask(Method::GET, "/api/v1/me").bearer("nonsense").send().await;
    both.refused("token_malformed");
    let both = forged.ask(Method::GET, "/api/v1/me").bearer(&tokens.access).send().await;
    assert_eq!(both.body["credential"]["kind"], "access_token");
}
