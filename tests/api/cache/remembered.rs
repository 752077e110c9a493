//! A request with a cached credential does not query the database, unless the node may have missed its end.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use doorward::database::Connection;
use doorward::database::feed::FeedState;
use doorward::sessions::find_state;
use doorward_test::{Browser, World};
use reqwest::Method;
use serde_json::json;

use crate::database::feed::{in_time, until};

/// Locks every table that the guard reads, until the connection is dropped.
fn lock_everything(world: &World) -> Connection {
    let mut connection = world.connection();
    let tables = "sessions, users, roles, refresh_tokens, personal_tokens, signing_keys";
    connection.batch_execute(&format!("BEGIN; LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")).unwrap();
    connection
}

#[actix_web::test]
async fn cached_credential_of_each_kind_needs_no_database() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let alice = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&alice.access, "notes:read").await;
    let browser = Browser::signed_in(&world, "alice").await;
    let ask = async || {
        let cookie = browser.ask(Method::GET, "/api/v1/me").send().await;
        let basic = world.ask(Method::GET, "/api/v1/me").basic("alice", &personal).send().await;
        for answer in [
            world.get("/api/v1/me", &alice.access).await,
            world.get("/api/v1/me", &personal).await,
            basic,
            cookie,
        ] {
            assert_eq!((answer.status, answer.text("username").as_str()), (200, "alice"));
        }
        world.get("/api/v1/users", &alice.access).await.refused("permission_denied");
    };
    ask().await;
    let _held = lock_everything(&world);
    ask().await;
}

#[actix_web::test]
async fn signature_is_verified_once_and_cache_sizes_are_reported() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let (alice, bob) = (world.signed_in("alice", "member").await, world.signed_in("bob", "member").await);
    let (personal, _) = world.personal_token(&alice.access, "notes:read").await;
    let browser = Browser::signed_in(&world, "alice").await;
    let renewed = world.refresh(&alice.refresh).await.text("access_token");
    let forged = |end: &str| format!("{}{end}", &bob.access[..bob.access.len() - 4]);
    let forged = ["AAAA", "BBBA", "CCCA", "DDDA"].map(forged);
    for _ in 0..2 {
        for token in [&alice.access, &renewed, &bob.access, &personal] {
            assert_eq!(world.get("/api/v1/me", token).await.status, 200);
        }
        assert_eq!(browser.ask(Method::GET, "/api/v1/me").send().await.status, 200);
        for token in &forged {
            world.get("/api/v1/me", token).await.refused("token_signature_invalid");
        }
    }
    let expected = [
        ("access_tokens", 3),
        ("forged_tokens", 4),
        ("api_sessions", 2),
        ("browser_sessions", 1),
        ("personal_tokens", 1),
    ];
    assert_eq!(world.state.cache.sizes(), expected);
    let verified = || doorward::guard::lookup::signed_access_token(&world.state, &bob.access).unwrap();
    assert!(std::sync::Arc::ptr_eq(&verified(), &verified()), "the same, and not one that is equal");
}

/// The database is changed in between, so the answer shows whether it was asked.
#[actix_web::test]
async fn reason_of_an_older_access_token_is_cached_until_a_change() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let id = world.user("alice", "member");
    let (alice, admin) = (world.login("alice").await, world.login("admin").await);
    let change = async |role: &str| {
        let path = format!("/api/v1/users/{id}");
        assert_eq!(world.patch(&path, &admin.access, json!({ "role": role })).await.status, 200);
    };
    let reason = async || {
        let refused = world.get("/api/v1/me", &alice.access).await;
        refused.refused_with("token_revoked", "refresh", false).text("reason")
    };
    change("viewer").await;
    assert_eq!(reason().await, "role_changed");
    let otherwise = "UPDATE revocations SET reason = 'account_disabled' WHERE kind = 'user'";
    world.connection().batch_execute(otherwise).unwrap();
    assert_eq!(reason().await, "role_changed");
    change("member").await;
    assert_eq!(reason().await, "account_disabled", "it is still the first change that counts");
}

/// This is the state after a standby without the last changes was promoted, before the feed has noticed.
#[actix_web::test]
async fn node_enforces_known_revocations_that_the_database_lost() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let (alice, bob) = (world.signed_in("alice", "member").await, world.signed_in("bob", "member").await);
    let (personal, personal_id) = world.personal_token(&bob.access, "notes:read").await;
    let mut browser = Browser::signed_in(&world, "bob").await;
    let copied = Browser::with(&world, browser.cookies.clone());
    world.post("/api/v1/auth/logout", &alice.access, json!({})).await;
    browser.fill_in("/account", "/logout", &[]).await;
    world.delete(&format!("/api/v1/me/tokens/{personal_id}"), &bob.access).await;
    let ended = "SELECT string_agg(id::text, ' ') AS text FROM sessions WHERE ended_at IS NOT NULL";
    let ended = format!("{} {personal_id}", world.text(ended));
    let ended: Vec<uuid::Uuid> = ended.split(' ').map(|id| id.parse().unwrap()).collect();
    assert_eq!(ended.len(), 3);
    in_time("it knows all three", || ended.iter().all(|id| world.state.cache.ended(*id).is_some())).await;

    world.sql_and_clear_cache(
        "UPDATE sessions SET ended_at = NULL, ended_reason = NULL;
         UPDATE refresh_tokens SET ended_at = NULL, ended_reason = NULL;
         UPDATE personal_tokens SET revoked_at = NULL, revoked_reason = NULL;
         DELETE FROM revocations",
    );
    // The first answers come from the database and the second from the cache. The refresh token is first the
    // live one, then a used one.
    for _ in 0..2 {
        for answer in [
            world.get("/api/v1/me", &alice.access).await,
            world.refresh(&alice.refresh).await,
            copied.ask(Method::GET, "/api/v1/me").send().await,
        ] {
            assert_eq!(answer.refused_with("session_ended", "login", true).text("reason"), "logout");
        }
        let answer = world.get("/api/v1/me", &personal).await;
        assert_eq!(answer.refused("token_revoked").text("reason"), "revoked_by_user");
        assert_eq!(world.get("/api/v1/me", &bob.access).await.status, 200, "of his nothing was lost");
    }
    assert_eq!(world.count("SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL"), 0);
}

/// The query reads the row, the row is ended, the feed has nothing to evict, and then the answer arrives.
#[actix_web::test]
async fn lookup_overtaken_by_the_feed_is_not_cached() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let alice = world.signed_in("alice", "member").await;
    let cache = &world.state.cache;
    let session = world.get("/api/v1/me", &alice.access).await.body["credential"]["session_id"].clone();
    let session: uuid::Uuid = serde_json::from_value(session).unwrap();
    cache.clear();
    let ticket = cache.ticket().unwrap();
    let (_, current) = find_state(&mut world.connection(), session, "", Duration::ZERO).unwrap();
    world.post("/api/v1/auth/logout", &alice.access, json!({})).await;
    cache.insert_session(ticket, session, &current.clone().unwrap().into());
    assert!(cache.session(session).is_none());
    world.get("/api/v1/me", &alice.access).await.refused("session_ended");
    // An answer whose query started later is cached.
    cache.insert_session(cache.ticket().unwrap(), session, &current.unwrap().into());
    assert!(cache.session(session).is_some());
}

#[actix_web::test]
async fn node_with_a_silent_feed_asks_the_database() {
    let mut world = World::new().await;
    until(&world, FeedState::Live).await;
    let alice = world.signed_in("alice", "member").await;
    assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200);
    world.stop_following();
    until(&world, FeedState::Silent).await;
    let ready = world.ask(Method::GET, "/readyz").send().await;
    assert_eq!((ready.status, ready.text("feed").as_str()), (200, "silent"));
    // Nothing notifies the node.
    let end = "UPDATE sessions SET ended_at = now(), ended_reason = 'logout'";
    world.connection().batch_execute(end).unwrap();
    world.get("/api/v1/me", &alice.access).await.refused("session_ended");
}
