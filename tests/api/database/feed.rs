//! Anything that ends on one node is refused on all nodes within a second.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use doorward::audit::Origin;
use doorward::database::feed::FeedState;
use doorward::database::transaction;
use doorward::sessions::{EndReason, SessionSelection, end_sessions};
use doorward::tokens::signing_key;
use doorward_test::{Answer, Browser, PASSWORD, World, refused_in_time};
use reqwest::Method;
use serde_json::json;

/// Waits until the feed is in this state.
pub async fn until(world: &World, state: FeedState) {
    in_time(&format!("the feed is {state:?}"), || world.state.core.database.feed().state() == state).await;
}

/// Waits until the condition holds.
pub async fn in_time(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(10), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn refused_within_a_second(world: &World, token: &str) -> Answer {
    refused_in_time(async || world.get("/api/v1/me", token).await).await
}

/// Whoever asks the database in the meantime caches the answer.
#[actix_web::test]
async fn empty_feed_read_keeps_cache_tickets_valid() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let drawn = || format!("{:?}", world.state.cache.ticket());
    let before = drawn();
    for _ in 0..3 {
        world.state.core.database.feed().catch_up().await;
    }
    assert_eq!(drawn(), before);
    let alice = world.signed_in("alice", "member").await;
    world.post("/api/v1/auth/logout", &alice.access, json!({})).await;
    in_time("the end of a session is news", || drawn() != before).await;
}

/// Clearing the cache costs nodes less than reading so many rows.
#[actix_web::test]
async fn bulk_end_writes_one_row_per_session_up_to_a_thousand() {
    let one = World::new().await;
    let other = one.another_node().await;
    until(&one, FeedState::Live).await;
    until(&other, FeedState::Live).await;
    for (sessions, named, everything) in [(2, 2, 0), (1_000, 1_000, 0), (1_001, 0, 1)] {
        let name = format!("user{sessions}");
        let id = one.user(&name, "member");
        let tokens = one.login(&name).await;
        one.sql(&format!(
            "INSERT INTO sessions (id, user_id, kind, expires_at)
             SELECT gen_random_uuid(), user_id, kind, expires_at FROM sessions, generate_series(2, {sessions})
             WHERE user_id = '{id}'"
        ));
        for node in [&one, &other] {
            assert_eq!(node.get("/api/v1/me", &tokens.access).await.status, 200);
        }
        let ended = transaction(&mut one.connection(), |connection| {
            let which = SessionSelection::AllOf(id);
            end_sessions(connection, &which, EndReason::EndedByAdmin, &Origin::command_line())
        });
        assert_eq!(ended.unwrap().len(), sessions);
        for node in [&one, &other] {
            refused_within_a_second(node, &tokens.access).await.refused("session_ended");
        }
        let rows = format!(
            "SELECT count(*) FROM revocations JOIN sessions ON sessions.id::text = subject
             WHERE revocations.kind = 'session' AND user_id = '{id}'"
        );
        assert_eq!(one.count(&rows), named, "{sessions}");
        let rows = "SELECT count(*) FROM revocations WHERE kind = 'everything'";
        assert_eq!(one.count(rows), everything, "{sessions}");
    }
}

#[actix_web::test]
async fn revocation_on_one_node_applies_on_the_other_in_a_second() {
    let one = World::new().await;
    let other = one.another_node().await;
    until(&one, FeedState::Live).await;
    until(&other, FeedState::Live).await;
    let admin = one.login("admin").await;
    let id = one.user("alice", "member");
    let remembered = async |token: &str| {
        for node in [&one, &other] {
            assert_eq!(node.get("/api/v1/me", token).await.status, 200);
        }
    };

    let alice = one.login("alice").await;
    remembered(&alice.access).await;
    one.post("/api/v1/auth/logout", &alice.access, json!({})).await;
    one.get("/api/v1/me", &alice.access).await.refused("session_ended");
    refused_within_a_second(&other, &alice.access).await.refused("session_ended");

    let alice = one.login("alice").await;
    let (personal, personal_id) = one.personal_token(&alice.access, "notes:read").await;
    remembered(&personal).await;
    one.delete(&format!("/api/v1/me/tokens/{personal_id}"), &alice.access).await;
    one.get("/api/v1/me", &personal).await.refused("token_revoked");
    refused_within_a_second(&other, &personal).await.refused("token_revoked");

    remembered(&alice.access).await;
    let (personal, _) = one.personal_token(&alice.access, "notes:read").await;
    remembered(&personal).await;
    let path = format!("/api/v1/users/{id}");
    assert_eq!(one.patch(&path, &admin.access, json!({"role": "viewer"})).await.status, 200);
    for node in [&one, &other] {
        refused_within_a_second(node, &alice.access).await.refused_with("token_revoked", "refresh", false);
    }
    assert_eq!(other.get("/api/v1/me", &personal).await.text("role"), "viewer");

    assert_eq!(one.patch(&path, &admin.access, json!({"status": "disabled"})).await.status, 200);
    one.get("/api/v1/me", &personal).await.refused("account_disabled");
    refused_within_a_second(&other, &personal).await.refused("account_disabled");
}

#[actix_web::test]
async fn disabled_account_is_reported_for_every_credential_and_node() {
    let one = World::new().await;
    let (other, mut silent) = (one.another_node().await, one.another_node().await);
    let id = one.user("alice", "member");
    let admin = one.login("admin").await.access;
    let alice = one.login("alice").await;
    let (personal, _) = one.personal_token(&alice.access, "notes:read").await;
    let cookies = Browser::signed_in(&one, "alice").await.cookies;
    for node in [&one, &other, &silent] {
        until(node, FeedState::Live).await;
        for token in [&alice.access, &personal] {
            assert_eq!(node.get("/api/v1/me", token).await.status, 200);
        }
        assert_eq!(
            Browser::with(node, cookies.clone()).ask(Method::GET, "/api/v1/me").send().await.status,
            200
        );
    }
    silent.stop_following();
    until(&silent, FeedState::Silent).await;
    let path = format!("/api/v1/users/{id}");
    assert_eq!(one.patch(&path, &admin, json!({"status": "disabled"})).await.status, 200);
    for node in [&one, &other, &silent] {
        // The second answer comes from the node's cache.
        for _ in 0..2 {
            let browser = Browser::with(node, cookies.clone());
            let refused = [
                refused_within_a_second(node, &alice.access).await,
                refused_within_a_second(node, &personal).await,
                refused_in_time(async || browser.ask(Method::GET, "/api/v1/me").send().await).await,
            ];
            refused.iter().for_each(|refused| {
                refused.refused_with("account_disabled", "contact_admin", false);
            });
        }
    }
    assert_eq!(one.patch(&path, &admin, json!({"status": "active"})).await.status, 200);
    one.get("/api/v1/me", &alice.access).await.refused_with("token_revoked", "refresh", false);
    assert_eq!(one.get("/api/v1/me", &personal).await.status, 200);
    assert_eq!(one.refresh(&alice.refresh).await.status, 200);
}

#[actix_web::test]
async fn browser_sign_out_on_one_node_applies_on_the_other() {
    let one = World::new().await;
    let other = one.another_node().await;
    until(&one, FeedState::Live).await;
    until(&other, FeedState::Live).await;
    one.user("alice", "member");
    let mut browser = Browser::signed_in(&one, "alice").await;
    let there = Browser::with(&other, browser.cookies.clone());
    assert_eq!(there.ask(Method::GET, "/api/v1/me").send().await.status, 200);
    browser.fill_in("/account", "/logout", &[]).await;
    let refused = refused_in_time(async || there.ask(Method::GET, "/api/v1/me").send().await).await;
    refused.refused("session_ended");
}

#[actix_web::test]
async fn rename_and_step_up_are_visible_at_once() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let alice = world.signed_in("alice", "member").await;
    assert_eq!(world.get("/api/v1/me", &alice.access).await.text("username"), "alice");
    let renamed = json!({"username": "alicia", "current_password": PASSWORD});
    assert_eq!(world.patch("/api/v1/me", &alice.access, renamed).await.status, 200);
    assert_eq!(world.get("/api/v1/me", &alice.access).await.text("username"), "alicia");

    let mut browser = Browser::signed_in(&world, "alicia").await;
    let before = browser.ask(Method::GET, "/api/v1/me").send().await.body["credential"]["auth_time"].clone();
    world.advance(TimeDelta::hours(1));
    browser.fill_in("/step-up", "/step-up", &[("step_up_password", PASSWORD)]).await;
    let after = browser.ask(Method::GET, "/api/v1/me").send().await.body["credential"]["auth_time"].clone();
    assert_ne!(before, after);
}

#[actix_web::test]
async fn revoked_key_is_refused_although_its_tokens_are_cached() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let alice = world.signed_in("alice", "member").await;
    assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200);
    let kid = world.text("SELECT kid AS text FROM signing_keys");
    transaction(&mut world.connection(), |connection| {
        signing_key::revoke(connection, &kid, &Origin::command_line())
    })
    .unwrap();
    refused_within_a_second(&world, &alice.access).await.refused("token_signature_invalid");
}

// These change rows by SQL, as another node does, and do not clear the cache.

#[actix_web::test]
async fn session_ended_by_sql_is_refused_after_its_feed_event() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let alice = world.signed_in("alice", "member").await;
    assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200);
    world.sql("UPDATE sessions SET ended_at = now(), ended_reason = 'ended_by_admin'");
    assert_eq!(
        world.get("/api/v1/me", &alice.access).await.status,
        200,
        "the cache answers without an event"
    );
    world.sql(
        "INSERT INTO revocations (kind, subject, reason, matters_until)
         SELECT 'session', id::text, ended_reason, now() + interval '1 hour' FROM sessions",
    );
    refused_within_a_second(&world, &alice.access).await.refused("session_ended");
}

/// Changes the user alice, and writes the event that other nodes write in the same transaction.
fn change_alice(world: &World, assignment: &str, reason: &str) {
    world.sql(&format!(
        "WITH changed AS (
             UPDATE users SET {assignment}, version = version + 1 WHERE username = 'alice' RETURNING id, version
         )
         INSERT INTO revocations (kind, subject, least_version, reason, matters_until)
         SELECT 'user', id::text, version, '{reason}', now() + interval '1 hour' FROM changed"
    ));
}

#[actix_web::test]
async fn role_changed_by_sql_is_in_force_after_its_feed_event() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let alice = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&alice.access, "notes:read").await;
    for token in [&alice.access, &personal] {
        assert_eq!(world.get("/api/v1/me", token).await.text("role"), "member");
    }
    change_alice(&world, "role = 'viewer'", "role_changed");
    let refused = refused_within_a_second(&world, &alice.access).await;
    refused.refused_with("token_revoked", "refresh", false);
    assert_eq!(refused.body["reason"], "role_changed");
    assert_eq!(world.get("/api/v1/me", &personal).await.text("role"), "viewer");
}

#[actix_web::test]
async fn account_disabled_by_sql_is_refused_after_its_feed_event() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let alice = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&alice.access, "notes:read").await;
    for token in [&alice.access, &personal] {
        assert_eq!(world.get("/api/v1/me", token).await.status, 200);
    }
    change_alice(&world, "status = 'disabled'", "account_disabled");
    for token in [&alice.access, &personal] {
        refused_within_a_second(&world, token).await.refused_with("account_disabled", "contact_admin", false);
    }
}

/// A row gets a lower position than rows already read, in a transaction that commits after them.
#[actix_web::test]
async fn late_commit_is_not_missed_by_the_feed() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let (alice, bob) = (world.signed_in("alice", "member").await, world.signed_in("bob", "member").await);
    for tokens in [&alice, &bob] {
        assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
    }
    let mut late = world.connection();
    late.batch_execute(
        "BEGIN; UPDATE sessions SET ended_at = now(), ended_reason = 'logout'
            WHERE user_id = (SELECT id FROM users WHERE username = 'alice');
         INSERT INTO revocations (kind, subject, reason, matters_until)
            SELECT 'session', id::text, 'logout', expires_at FROM sessions WHERE ended_at IS NOT NULL",
    )
    .unwrap();
    world.post("/api/v1/auth/logout", &bob.access, json!({})).await;
    world.get("/api/v1/me", &bob.access).await.refused("session_ended");
    // Let the feed read a few times, when it knows the later position.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200, "nothing is committed yet");
    late.batch_execute("COMMIT").unwrap();
    refused_within_a_second(&world, &alice.access).await.refused("session_ended");
}

/// An open transaction holds back the oldest transaction ID for as long as it stays open.
#[actix_web::test]
async fn open_transaction_does_not_delay_the_feed() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let mut forgotten = world.connection();
    forgotten.batch_execute("BEGIN; SELECT pg_current_xact_id()").unwrap();
    for name in ["alice", "bob"] {
        let tokens = world.signed_in(name, "member").await;
        assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
        world.post("/api/v1/auth/logout", &tokens.access, json!({})).await;
        refused_within_a_second(&world, &tokens.access).await.refused("session_ended");
    }
}

#[actix_web::test]
async fn killed_feed_reconnects_and_clears_the_cache() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let alice = world.signed_in("alice", "member").await;
    assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200);
    for _ in 0..5 {
        // In one transaction, so that the session ends unnoticed while no one listens.
        let kill = "BEGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'doorward-feed';
            UPDATE sessions SET ended_at = now(), ended_reason = 'logout'; COMMIT";
        world.connection().batch_execute(kill).unwrap();
        refused_within_a_second(&world, &alice.access).await.refused("session_ended");
        until(&world, FeedState::Live).await;
        world.get("/api/v1/me", &alice.access).await.refused("session_ended");
        world.connection().batch_execute("UPDATE sessions SET ended_at = NULL, ended_reason = NULL").unwrap();
        world.state.cache.clear();
        assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200);
    }
}

/// A restore into the running database would do this.
#[actix_web::test]
async fn truncated_revocations_table_restarts_the_feed() {
    let world = World::new().await;
    until(&world, FeedState::Live).await;
    let alice = world.signed_in("alice", "member").await;
    assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200);
    let end = "UPDATE sessions SET ended_at = now(), ended_reason = 'logout'";
    world.connection().batch_execute(end).unwrap();
    assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200, "remembered, and nothing was said");
    world.connection().batch_execute("TRUNCATE revocations").unwrap();
    refused_within_a_second(&world, &alice.access).await.refused("session_ended");
}

/// Rows in a dump of another cluster may name transaction IDs that this cluster has not reached.
#[actix_web::test]
async fn rows_with_transactions_of_another_cluster_are_adopted() {
    let world = World::new().await;
    world.sql(
        "INSERT INTO revocations (kind, subject, reason, matters_until, transaction)
            VALUES ('session', gen_random_uuid()::text, 'logout', now() + interval '1 day', 1000000000000)",
    );
    let _again = world.another_node().await;
    let ahead = "SELECT count(*) FROM revocations WHERE transaction >= 1000000000000";
    assert_eq!(world.count(ahead), 0);
}

#[actix_web::test]
async fn simultaneous_sign_outs_on_two_nodes_apply_on_both() {
    let one = World::new().await;
    let other = one.another_node().await;
    until(&one, FeedState::Live).await;
    until(&other, FeedState::Live).await;
    one.user("alice", "member");
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let tokens = one.login("alice").await;
        for node in [&one, &other] {
            assert_eq!(node.get("/api/v1/me", &tokens.access).await.status, 200);
        }
        sessions.push(tokens.access);
    }
    let out = sessions.iter().enumerate().map(|(at, token)| {
        let node = if at % 2 == 0 { &one } else { &other };
        node.post("/api/v1/auth/logout", token, json!({}))
    });
    futures_util::future::join_all(out).await;
    for token in &sessions {
        for node in [&one, &other] {
            refused_within_a_second(node, token).await.refused("session_ended");
        }
    }
}
