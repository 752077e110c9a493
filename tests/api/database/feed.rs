//! Anything that ends on one node is refused on all nodes within a second. A request with a cached credential
//! does not query the database.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use doorward::audit::Origin;
use doorward::database::feed::FeedState;
use doorward::database::{Connection, transaction};
use doorward::sessions::{EndReason, SessionSelection, end_sessions, find_state};
use doorward::tokens::signing_key;
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Browser, PASSWORD, World, refused_in_time};

/// Waits until the feed is in this state.
async fn until(world: &World, state: FeedState) {
    in_time(&format!("the feed is {state:?}"), || world.state.core.database.feed().state() == state).await;
}

/// Waits until the condition holds.
async fn in_time(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(10), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn refused_within_a_second(world: &World, token: &str) -> Answer {
    refused_in_time(async || world.get("/api/v1/me", token).await).await
}

/// Locks every table that the guard reads, until the connection is dropped.
fn lock_everything(world: &World) -> Connection {
    let mut connection = world.connection();
    let tables = "sessions, users, roles, refresh_tokens, personal_tokens, signing_keys";
    connection.batch_execute(&format!("BEGIN; LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")).unwrap();
    connection
}

#[actix_web::test]
async fn a_remembered_credential_of_each_kind_asks_no_database() {
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
async fn a_signature_is_verified_once_and_the_memory_tells_how_much_it_holds_of_each_kind() {
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
async fn why_an_older_access_token_is_refused_is_asked_once_until_its_user_is_changed_again() {
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

/// Whoever asks the database in the meantime caches the answer.
#[actix_web::test]
async fn a_read_that_finds_nothing_new_is_no_news() {
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

/// This is the state after a standby without the last changes was promoted, before the feed has noticed.
#[actix_web::test]
async fn what_a_node_knows_to_be_ended_it_refuses_although_the_database_has_lost_the_end() {
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

    world.sql(
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

/// Clearing the cache costs nodes less than reading so many rows.
#[actix_web::test]
async fn up_to_a_thousand_sessions_that_end_at_once_are_named_each_and_more_by_one_row() {
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
async fn what_one_node_ends_the_other_refuses_within_a_second() {
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
async fn disabled_account_says_so_on_every_path_to_every_credential() {
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
async fn a_browser_that_signs_out_on_one_node_is_signed_out_on_the_other() {
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
async fn another_name_is_shown_by_the_next_answer_and_a_step_up_counts_at_once() {
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
async fn a_key_that_leaked_is_refused_although_its_tokens_are_remembered() {
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

/// A row gets a lower position than rows already read, in a transaction that commits after them.
#[actix_web::test]
async fn a_transaction_that_commits_late_is_not_missed() {
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

/// An open transaction holds back the oldest transaction id for as long as it stays open.
#[actix_web::test]
async fn a_transaction_left_open_hides_nothing() {
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

/// The query reads the row, the row is ended, the feed has nothing to evict, and then the answer arrives.
#[actix_web::test]
async fn an_answer_that_the_feed_overtook_is_not_remembered() {
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
async fn a_node_whose_feed_is_silent_asks_the_database() {
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

#[actix_web::test]
async fn a_feed_whose_connection_is_killed_is_back_and_forgets_what_it_may_have_missed() {
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
async fn a_table_that_was_replaced_makes_the_feed_begin_anew() {
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

/// Rows in a dump of another cluster may name transaction ids that this cluster has not reached.
#[actix_web::test]
async fn rows_of_another_clusters_transactions_are_adopted_at_the_start() {
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
async fn twenty_who_sign_out_on_two_nodes_at_once_are_out_on_both() {
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
