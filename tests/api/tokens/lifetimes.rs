//! A key is published for as long as any token that it signed is valid.

use chrono::TimeDelta;
use doorward::tokens::private_key::Algorithm;
use doorward_test::{Browser, World};
use reqwest::Method;
use serde_json::Value;

use super::{is_good, jwks, reload, revoke, rotate, rows};

#[actix_web::test]
async fn key_waits_ten_minutes_and_retires_a_minute_after_its_tokens() {
    let world = World::new().await;
    world.stop_time();
    let first = rows(&world)[0].kid.clone();
    let second = rotate(&world, Algorithm::Es256);
    let of = |kid: &str| rows(&world).into_iter().find(|row| row.kid == kid).expect("a row");
    assert_eq!(of(&second).signs_from - of(&second).published_at, TimeDelta::minutes(10));
    assert_eq!(of(&first).retires_at, Some(of(&second).signs_from + TimeDelta::minutes(6)));
    assert_eq!(of(&second).retires_at, None, "none follows it");
    // If no key signs, a new one signs at once, until the key that was published earlier does.
    assert!(revoke(&world, &first));
    let stopgap = rotate(&world, Algorithm::Es256);
    assert_eq!(of(&stopgap).signs_from, of(&stopgap).published_at);
    assert_eq!(of(&stopgap).retires_at, Some(of(&second).signs_from + TimeDelta::minutes(6)));
}

fn seconds_of_life(token: &str) -> i64 {
    let claims: Value = jsonwebtoken::dangerous::insecure_decode(token).unwrap().claims;
    claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()
}

#[actix_web::test]
async fn rotation_by_a_short_ttl_node_keeps_longer_tokens_valid() {
    let hour = std::time::Duration::from_secs(3_600);
    let long = World::with(|settings| settings.access_token_ttl = hour).await;
    let short = long.another_node().await;
    let before = long.signed_in("alice", "member").await;
    // One rotation is by a command, and one by a node with a shorter lifetime.
    rotate(&long, Algorithm::Es256);
    short.user("root", "admin");
    let mut root = Browser::signed_in(&short, "root").await;
    assert_eq!(root.fill_in("/admin/keys", "/admin/keys/rotate", &[]).await.status, 303);
    for world in [&long, &short] {
        reload(world).await;
    }
    let after = long.login("alice").await;
    assert_eq!(seconds_of_life(&after.access), 3_600);
    let old = rows(&long)[0].clone();
    assert_eq!(old.retires_at, Some(rows(&long)[1].signs_from + TimeDelta::minutes(61)));
    for world in [&long, &short] {
        is_good(world, &before.access).await;
        is_good(world, &after.access).await;
    }
    // The token is valid until its last minute.
    long.advance(TimeDelta::minutes(59));
    is_good(&long, &after.access).await;
    assert!(jwks(&long).await.find(&old.kid).is_some());
}

#[actix_web::test]
async fn restart_with_a_longer_lifetime_keeps_tokens_valid() {
    let before = World::new().await;
    let first = before.signed_in("alice", "member").await;
    rotate(&before, Algorithm::Es256);
    reload(&before).await;
    let hour = std::time::Duration::from_secs(3_600);
    let after = before.another_node_with(|settings| settings.access_token_ttl = hour).await;
    let tokens = after.login("alice").await;
    assert_eq!(seconds_of_life(&tokens.access), 3_600);
    let refreshed = after.refresh(&first.refresh).await;
    assert_eq!(refreshed.body["expires_in"], 3_600);
    // The first node has not reloaded its keys, except because of the feed.
    for world in [&before, &after] {
        is_good(world, &tokens.access).await;
        is_good(world, &refreshed.text("access_token")).await;
    }
    let retires_at = rows(&before)[0].retires_at;
    assert_eq!(retires_at, Some(rows(&before)[1].signs_from + TimeDelta::minutes(61)));
}

#[actix_web::test]
async fn restart_with_a_shorter_lifetime_keeps_tokens_valid() {
    let hour = std::time::Duration::from_secs(3_600);
    let before = World::with(|settings| settings.access_token_ttl = hour).await;
    let tokens = before.signed_in("alice", "member").await;
    let after = before.another_node().await;
    rotate(&after, Algorithm::Es256);
    reload(&after).await;
    is_good(&after, &tokens.access).await;
    assert_eq!(rows(&after)[0].retires_at, Some(rows(&after)[1].signs_from + TimeDelta::minutes(61)));
}

/// A node of an earlier version computes the retirement from its own lifetime. It knows neither the column
/// nor the table of nodes.
#[actix_web::test]
async fn rotation_by_an_earlier_version_keeps_tokens_valid() {
    let hour = std::time::Duration::from_secs(3_600);
    let world = World::with(|settings| settings.access_token_ttl = hour).await;
    let tokens = world.signed_in("alice", "member").await;
    world.sql_and_clear_cache(
        "BEGIN;
         UPDATE signing_keys SET retires_at = now() + interval '16 minutes';
         INSERT INTO signing_keys (kid, algorithm, sealed_key, public_jwk, published_at, signs_from)
         SELECT 'x', algorithm, sealed_key, public_jwk, now(), now() + interval '10 minutes' FROM signing_keys;
         COMMIT",
    );
    let [old, new] = <[_; 2]>::try_from(rows(&world)).unwrap_or_else(|_| panic!("two keys"));
    assert_eq!(old.retires_at, Some(new.signs_from + TimeDelta::minutes(61)));
    assert_eq!(new.longest_ttl_seconds, 86_400, "nobody knows what that version issues");
    world.sql_and_clear_cache("DELETE FROM signing_keys WHERE kid = 'x'");
    reload(&world).await;
    is_good(&world, &tokens.access).await;
}

#[actix_web::test]
async fn node_issues_tokens_no_longer_than_its_key_allows() {
    let world = World::new().await;
    world.user("alice", "member");
    // This happens after a backup was restored, or if a key was created while the node was not seen.
    world.sql_and_clear_cache("UPDATE signing_keys SET longest_ttl_seconds = 60");
    reload(&world).await;
    let bounded = world.login("alice").await;
    assert_eq!(seconds_of_life(&bounded.access), 60);
    doorward::operations::signing_keys::ReloadSigningKeys.run(&world.state).await.expect("the keys");
    assert_eq!(seconds_of_life(&world.login("alice").await.access), 300);
    assert_eq!(rows(&world)[0].longest_ttl_seconds, 300);
}

#[actix_web::test]
async fn token_expires_with_its_key() {
    let world = World::new().await;
    world.user("alice", "member");
    rotate(&world, Algorithm::Es256);
    world.sql_and_clear_cache(
        "UPDATE signing_keys SET retires_at = now() + interval '100 seconds' WHERE retires_at IS NOT NULL",
    );
    reload(&world).await;
    let login = serde_json::json!({ "username": "alice", "password": doorward_test::PASSWORD });
    let answer = world.ask(Method::POST, "/api/v1/auth/login").json(&login).send().await;
    assert!(answer.body["expires_in"].as_i64().is_some_and(|seconds| seconds <= 100), "{}", answer.body);
    let access = answer.text("access_token");
    assert!(seconds_of_life(&access) <= 100);
    is_good(&world, &access).await;
}

#[actix_web::test]
async fn raised_lifetime_does_not_restore_a_retired_key() {
    let world = World::new().await;
    rotate(&world, Algorithm::Es256);
    world.advance(TimeDelta::hours(1));
    let before = rows(&world);
    let hour = std::time::Duration::from_secs(3_600);
    let _longer = world.another_node_with(|settings| settings.access_token_ttl = hour).await;
    let after = rows(&world);
    assert_eq!(after[0].retires_at, before[0].retires_at);
    assert_eq!((after[0].longest_ttl_seconds, after[1].longest_ttl_seconds), (300, 3_600));
}
