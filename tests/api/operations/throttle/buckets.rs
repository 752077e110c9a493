//! Requests that cost something are limited, even if they try no password.

use chrono::TimeDelta;
use doorward_test::{Answer, Browser, PASSWORD, Tokens, World, limit_tries};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{ELSEWHERE, HOME, ask_from, behind_a_proxy, count, held, limited, login};

/// Creates a world with buckets of three, in which one place becomes free every twenty seconds.
async fn with_small_buckets() -> World {
    World::with(|settings| {
        behind_a_proxy(settings);
        settings.unproven_per_address = 3;
    })
    .await
}

/// Checks the response like [`held`], but for a bucket, whose time is not stopped.
#[track_caller]
fn held_by_bucket(answer: &Answer) {
    let wait = held(answer);
    assert!((10..=20).contains(&wait), "{wait}");
}

#[actix_web::test]
async fn forged_refresh_tokens_are_throttled_and_valid_ones_are_not() {
    let world = with_small_buckets().await;
    world.user("alice", "member");
    let refresh = |token: &str| {
        let body = json!({ "refresh_token": token });
        ask_from(&world, ELSEWHERE, "/api/v1/auth/refresh").json(&body).send()
    };
    let live = Tokens::of(&login(&world, ELSEWHERE, "alice", PASSWORD).await);
    let pruned = Tokens::of(&login(&world, ELSEWHERE, "alice", PASSWORD).await);
    let altered = format!("{}{}", &live.refresh[..60], "A".repeat(live.refresh.len() - 60));
    for _ in 0..2 {
        refresh(&altered).await.refused("token_signature_invalid");
    }
    world.sql_and_clear_cache(
        "DELETE FROM sessions WHERE id = (SELECT id FROM sessions ORDER BY id DESC LIMIT 1)",
    );
    refresh(&pruned.refresh).await.refused("refresh_token_unknown");
    for token in [altered.as_str(), pruned.refresh.as_str(), "dwr_nonsense", "nonsense"] {
        held_by_bucket(&refresh(token).await);
    }
    let next = refresh(&live.refresh).await;
    assert_eq!(next.status, 200, "{}", next.body);
    world.advance(TimeDelta::seconds(20));
    refresh("nonsense").await.refused("token_malformed");
    held_by_bucket(&refresh("nonsense").await);
    ask_from(&world, HOME, "/api/v1/auth/refresh")
        .json(&json!({ "refresh_token": "nonsense" }))
        .send()
        .await
        .refused("token_malformed");
    assert_eq!(world.events("too_many_attempts"), 1);
}

#[actix_web::test]
async fn explanations_without_a_credential_are_throttled_by_address() {
    let world = with_small_buckets().await;
    world.user("alice", "member");
    let access = login(&world, HOME, "alice", PASSWORD).await.text("access_token");
    let body = json!({ "token": "nonsense" });
    let explain = || ask_from(&world, ELSEWHERE, "/api/v1/auth/explain").json(&body);
    for _ in 0..3 {
        assert_eq!(explain().send().await.status, 200);
    }
    held_by_bucket(&explain().send().await);
    assert_eq!(explain().bearer(&access).send().await.status, 200);
    assert_eq!(ask_from(&world, HOME, "/api/v1/auth/explain").json(&body).send().await.status, 200);
}

#[actix_web::test]
async fn guessed_password_links_are_throttled_on_a_page_with_the_wait() {
    let world = with_small_buckets().await;
    let mut browser = Browser::new(&world);
    browser.address = Some(ELSEWHERE);
    for at in 0..3 {
        assert_eq!(browser.get(&format!("/set-password/guess-{at}")).await.status, 404);
    }
    for answer in [browser.get("/set-password/x").await, browser.post("/set-password/x", &[]).await] {
        let wait = answer.header("retry-after").unwrap_or_else(|| panic!("{}", answer.body));
        assert_eq!(answer.status, 429);
        assert!(answer.body.as_str().unwrap().contains(&format!("Try again in {wait} s")), "{}", answer.body);
    }
    browser.address = Some(HOME);
    assert_eq!(browser.get("/set-password/x").await.status, 404);
}

#[actix_web::test]
async fn registrations_are_limited_by_address_across_nodes() {
    let open = |settings: &mut doorward::config::Settings| {
        behind_a_proxy(settings);
        settings.registration = doorward::config::Registration::Open;
    };
    let one = World::with(open).await;
    let other = one.another_node_with(open).await;
    let register = |world, address, name: String| {
        let body = json!({ "username": name, "password": PASSWORD });
        ask_from(world, address, "/api/v1/auth/register").json(&body).send()
    };
    let nodes = [&one, &other];
    let names = (0..40).map(|at| register(nodes[at % 2], ELSEWHERE, format!("user-{at}")));
    let answers = join_all(names).await;
    assert_eq!((count(&answers, 201), count(&answers, 429)), (10, 30));
    assert_eq!(one.count("SELECT count(*) FROM users WHERE username LIKE 'user-%'"), 10);
    held(&register(&one, ELSEWHERE, "admin".to_owned()).await);
    // Requests with form errors are answered without being counted.
    let wrong = json!({ "username": "a b", "password": "short" });
    let ask = ask_from(&one, ELSEWHERE, "/api/v1/auth/register").json(&wrong);
    ask.send().await.refused("validation_failed");
    assert_eq!(register(&one, HOME, "carol".to_owned()).await.status, 201);
    // A request for a taken name is also a guess.
    for _ in 0..9 {
        register(&one, HOME, "carol".to_owned()).await.refused("conflict");
    }
    held(&register(&one, HOME, "dave".to_owned()).await);

    let mut browser = Browser::new(&one);
    browser.address = Some(HOME);
    let page =
        browser.fill_in("/register", "/register", &[("username", "dave"), ("password", PASSWORD)]).await;
    assert_eq!(page.status, 429);
    let html = page.body.as_str().unwrap();
    assert!(html.contains("Too many accounts were created from your address"), "{html}");
    assert!(html.contains("value=\"dave\"") && page.header("retry-after").is_some(), "{html}");
}

#[actix_web::test]
async fn personal_tokens_are_limited_by_user() {
    let world = World::with(|settings| {
        limit_tries(settings);
        settings.tokens_per_user = 3;
    })
    .await;
    let (alice, bob) = (world.signed_in("alice", "member").await, world.signed_in("bob", "member").await);
    for _ in 0..3 {
        world.personal_token(&alice.access, "notes:read").await;
    }
    let again = json!({ "name": "one more", "scope": "notes:read" });
    let refused = world.post("/api/v1/me/tokens", &alice.access, again.clone()).await;
    assert!(held(&refused) > 1_100 && refused.text("detail").contains("in 20 min"), "{}", refused.body);
    world.personal_token(&bob.access, "notes:read").await;
    world.advance(TimeDelta::minutes(20));
    let access = Tokens::of(&world.refresh(&alice.refresh).await).access;
    let too_old = world.post("/api/v1/me/tokens", &access, again.clone()).await;
    too_old.refused("authentication_too_old");
    let access = world.login("alice").await.access;
    assert_eq!(world.post("/api/v1/me/tokens", &access, again).await.status, 201);
}

#[actix_web::test]
async fn guarded_request_and_refresh_do_not_write_attempts() {
    let world = limited().await;
    let tokens = world.signed_in("alice", "member").await;
    let before =
        world.text("SELECT string_agg(digest::text || level || counted_at, ' ') AS text FROM attempts");
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200);
    let after =
        world.text("SELECT string_agg(digest::text || level || counted_at, ' ') AS text FROM attempts");
    assert_eq!(before, after);
}

#[actix_web::test]
async fn refused_genuine_refresh_token_is_not_counted_as_a_guess() {
    let world = World::with(|settings| settings.unproven_per_address = 3).await;
    let tokens = world.signed_in("alice", "member").await;
    let wider = json!({"refresh_token": tokens.refresh, "scope": "users:write"});
    for _ in 0..5 {
        let asked = world.ask(Method::POST, "/api/v1/auth/refresh").json(&wider);
        asked.send().await.refused("insufficient_scope");
    }
    world.post("/api/v1/auth/logout", &tokens.access, json!({})).await;
    for _ in 0..5 {
        world.refresh(&tokens.refresh).await.refused("session_ended");
    }
}
