//! A running node re-applies the revocations that it has in its cache.

use std::time::Duration;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use doorward::cache::reapply::reapply_lost;
use doorward::tokens::recently_revoked::RecentlyRevoked;
use doorward::tokens::revocation::{FeedEvent, Revocation};
use doorward_test::{PASSWORD, World, refused_in_time};
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::Method;
use serde_json::{Value, json};

use super::{AccountCredentials, Backup, kids, link_for, run, told};

/// This is the state after a standby without the last changes was promoted.
#[actix_web::test]
async fn running_nodes_reapply_known_revocations_after_a_restore() {
    let world = World::new().await;
    let (carol, dave) = (world.user("carol", "admin"), world.user("dave", "member"));
    let (erin, frank) = (world.user("erin", "admin"), world.signed_in("frank", "admin").await);
    world.user("alice", "member");
    let admin = world.signed_in("root", "admin").await;
    let link = link_for(&world, &admin, dave).await;
    let mut alice = AccountCredentials::of(&world, "alice", link).await;
    alice.are_good(&world).await;
    let other = world.another_node().await;
    let leaked = kids(&world.ask(Method::GET, "/.well-known/jwks.json").send().await);
    let backup = Backup::make(&world);
    world.post("/api/v1/auth/logout", &alice.tokens.access, json!({})).await;
    alice.browser.fill_in("/account", "/logout", &[]).await;
    let tokens: Value = told(&world, &["token", "list", "--json"]);
    told(&world, &["token", "revoke", tokens[0]["id"].as_str().unwrap(), "--json"]);
    told(&world, &["key", "revoke", &leaked[0], "--yes", "--json"]);
    told(&world, &["user", "disable", "carol", "--json"]);
    told(&world, &["user", "delete", "dave", "--yes", "--json"]);
    told(&world, &["user", "set-role", "erin", "viewer", "--json"]);
    // A user who was disabled and then enabled again stays enabled.
    told(&world, &["user", "disable", "frank", "--json"]);
    told(&world, &["user", "enable", "frank", "--json"]);
    let codes = ["token_signature_invalid", "session_ended", "token_revoked"];
    alice.are_refused(&world, codes).await;
    alice.are_refused(&other, codes).await;
    let doctor = || String::from_utf8(run(&world, &["doctor"]).stdout).unwrap();
    assert!(!doctor().contains("history"));

    backup.put_back(&world);
    let started = std::time::Instant::now();
    while world.events("database_went_back") == 0 {
        assert!(started.elapsed().as_secs() < 10, "no node has noticed");
        actix_web::rt::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for node in [&world, &other] {
        refused_in_time(async || node.get("/api/v1/me", &alice.tokens.access).await).await;
        refused_in_time(async || node.get("/api/v1/notes", &alice.script).await)
            .await
            .refused("token_revoked");
        let refreshed = node.refresh(&alice.tokens.refresh).await;
        assert_eq!(refreshed.refused("session_ended").body["reason"], "logout");
        assert_eq!(alice.browser.ask(Method::GET, "/api/v1/me").send().await.status, 401);
    }
    let account = |id: uuid::Uuid| {
        world.text(&format!(
            "SELECT role || ' ' || status || ' ' || version AS text FROM users WHERE id = '{id}'"
        ))
    };
    assert_eq!(account(carol), "admin disabled 2");
    assert_eq!(account(dave), "member disabled 2", "he is back, and is not let in");
    assert_eq!(account(erin), "admin active 2", "what was to become of her nobody knows");
    world.get("/api/v1/me", &frank.access).await.refused("token_signature_invalid");
    world.login("frank").await;
    let accounts =
        "SELECT details->'accounts' #>> '{}' AS text FROM audit_events WHERE type = 'database_went_back'";
    let accounts: Value = serde_json::from_str(&world.text(accounts)).unwrap();
    let same = "has the earlier role or status";
    let expected = json!({ "carol": "disabled", "dave": "disabled", "erin": same, "frank": same });
    assert_eq!(accounts, expected);
    assert!(doctor().contains("doorward restored --since"), "{}", doctor());

    // The nodes re-apply these events only once in total, even if their connections are lost again.
    told(&world, &["user", "enable", "carol", "--json"]);
    world
        .connection()
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'doorward-feed'",
        )
        .unwrap();
    let started = std::time::Instant::now();
    let feeds = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'doorward-feed' AND query LIKE '%revocations%'";
    while world.count(feeds) < 2 {
        assert!(started.elapsed().as_secs() < 10, "the feeds are not back");
        actix_web::rt::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let third = world.another_node().await;
    third.login("carol").await;
    assert_eq!(world.events("database_went_back"), 1);
    told(&world, &["restored", "--keep-sessions", "--yes", "--json"]);
    assert!(!doctor().contains("history"));
}

/// Returns the cache entries of a node that read these events a minute ago.
fn read_of(world: &World, ended: &[(Revocation, &str)]) -> RecentlyRevoked {
    let revoked_at = world.state.core.clock.now() - TimeDelta::minutes(1);
    let matters_until = revoked_at + TimeDelta::days(1);
    let events = ended.iter().cloned().map(|(revoked, reason)| FeedEvent {
        revoked,
        age: Duration::ZERO,
        reason: reason.to_owned(),
        revoked_at,
        matters_until,
    });
    let mut recently_revoked = RecentlyRevoked::default();
    recently_revoked.record(&events.collect::<Vec<_>>());
    recently_revoked
}

#[actix_web::test]
async fn each_kind_of_lost_revocation_is_reapplied_and_counted() {
    let world = World::new().await;
    let carol = world.user("carol", "member");
    let alice = world.signed_in("alice", "member").await;
    let bob = [world.signed_in("bob", "member").await, world.login("bob").await];
    let scripts = [
        world.personal_token(&alice.access, "notes:read").await,
        world.personal_token(&alice.access, "notes:read").await,
    ];
    let kid = world.text("SELECT kid AS text FROM signing_keys");
    let sessions =
        "SELECT string_agg(s.id::text, ' ') AS text FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE u.username = 'bob'";
    let sessions = world.text(sessions);
    let sessions = sessions.split(' ').map(|id| (Revocation::Session(id.parse().unwrap()), "logout"));
    let tokens =
        scripts.iter().map(|(_, id)| (Revocation::PersonalToken(id.parse().unwrap()), "revoked_by_user"));
    let gone =
        [(Revocation::Session(carol), "logout"), (Revocation::PersonalToken(carol), "revoked_by_user")];
    let told = |sessions: u8, tokens: u8, keys: u8, accounts: Value| {
        json!({
            "sessions_ended": sessions,
            "personal_tokens_revoked": tokens,
            "signing_keys_revoked": keys,
            "accounts": accounts,
        })
    };
    let mut noticed = 0;
    for (what, ended, expected) in [
        ("sessions", sessions.collect(), Some(told(2, 0, 0, json!({})))),
        ("personal tokens", tokens.collect(), Some(told(0, 2, 0, json!({})))),
        (
            "an account",
            vec![(Revocation::UserBelow(carol, 2), "account_disabled")],
            Some(told(0, 0, 0, json!({ "carol": "disabled" }))),
        ),
        ("a key", vec![(Revocation::Key(kid), "key_revoked")], Some(told(0, 0, 1, json!({})))),
        ("what stands here no more", gone.to_vec(), None),
    ] {
        let recently_revoked = read_of(&world, &ended);
        let recorder = PrometheusBuilder::new().build_recorder();
        for _ in 0..2 {
            metrics::with_local_recorder(&recorder, || {
                reapply_lost(&mut world.connection(), &recently_revoked, &world.state.core.secret_keys)
                    .unwrap();
            });
        }
        noticed += i64::from(expected.is_some());
        assert_eq!(world.events("database_went_back"), noticed, "{what}: once, and where anything was lost");
        let counted = recorder.handle().render().contains("doorward_database_went_back_total 1\n");
        assert_eq!(counted, expected.is_some(), "{what}");
        if let Some(expected) = expected {
            let details = "SELECT details::text AS text FROM audit_events WHERE type = 'database_went_back'
                ORDER BY id DESC LIMIT 1";
            let details: Value = serde_json::from_str(&world.text(details)).unwrap();
            assert_eq!(details, expected, "{what}");
        }
        match what {
            "sessions" => {
                for tokens in &bob {
                    let refused =
                        refused_in_time(async || world.get("/api/v1/me", &tokens.access).await).await;
                    assert_eq!(refused.refused("session_ended").text("reason"), "logout");
                }
            }
            "personal tokens" => {
                for (script, _) in &scripts {
                    let refused = refused_in_time(async || world.get("/api/v1/notes", script).await).await;
                    assert_eq!(refused.refused("token_revoked").text("reason"), "revoked_by_user");
                }
                assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200);
            }
            "an account" => {
                let login = json!({ "username": "carol", "password": PASSWORD });
                let refused = world.ask(Method::POST, "/api/v1/auth/login").json(&login).send().await;
                refused.refused("account_disabled");
            }
            _ => {
                let refused = refused_in_time(async || world.get("/api/v1/me", &alice.access).await).await;
                refused.refused("token_signature_invalid");
            }
        }
    }
    world.login("alice").await;
}

#[actix_web::test]
async fn lost_revocations_are_exactly_those_without_a_row() {
    let world = World::new().await;
    let ids: [uuid::Uuid; 5] = std::array::from_fn(|_| doorward::random::id());
    let ended = ids.map(|id| (Revocation::Session(id), "logout"));
    let recently_revoked = read_of(&world, &ended);
    let lost = || -> Vec<Revocation> {
        let lost = recently_revoked.find_lost(&mut world.connection()).unwrap();
        lost.into_iter().map(|event| event.revoked).collect()
    };
    assert_eq!(lost(), ids.map(Revocation::Session));
    // Neither a row of another kind nor an older row counts.
    let row = |at: usize, kind: &str, age: &str| {
        world.sql(&format!(
            "INSERT INTO revocations (kind, subject, reason, revoked_at, matters_until)
             VALUES ('{kind}', '{}', 'logout', now() - interval '{age}', now() + interval '1 day')",
            ids[at]
        ));
    };
    row(0, "token", "0");
    row(2, "session", "1 hour");
    assert_eq!(lost().len(), 5);
    row(1, "session", "0");
    row(3, "session", "10 seconds");
    assert_eq!(lost(), [ids[0], ids[2], ids[4]].map(Revocation::Session));
    // Rows that no longer affect any token were pruned.
    world.advance(TimeDelta::days(3));
    assert!(lost().is_empty());
}
