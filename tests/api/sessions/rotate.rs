//! Refresh rotation: concurrent requests get one successor, an honest repeat is forgiven, and a copied token
//! ends the session.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use doorward::config::SimplejwtRoutes;
use doorward_test::{PASSWORD, Tokens, World};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

/// Beyond the grace.
const LATER: TimeDelta = TimeDelta::minutes(1);

#[actix_web::test]
async fn forty_simultaneous_refreshes_make_one_successor() {
    let world = World::new().await;
    let other = world.another_node().await;
    let tokens = world.signed_in("alice", "member").await;
    let nodes = (0..40).map(|n| if n % 2 == 0 { &world } else { &other });
    let answers = join_all(nodes.map(|node| node.refresh(&tokens.refresh))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let successors: BTreeSet<String> = answers.iter().map(|answer| answer.text("refresh_token")).collect();
    assert_eq!(successors.len(), 1);
    assert_eq!(world.count("SELECT generation::bigint AS count FROM refresh_tokens"), 2);
    assert_eq!(world.events("refresh_repeated"), 39);
    assert_eq!(world.events("refresh_token_reused"), 0);
    // The test uses the only successor to show that it works.
    assert_eq!(world.refresh(successors.first().unwrap()).await.status, 200);
}

#[actix_web::test]
async fn batched_refreshes_are_decided_independently() {
    let world = World::new().await;
    let admin = world.login("admin").await;
    let mut asked = Vec::new();
    for number in 0..4 {
        for kind in ["live", "spent", "reused", "ended", "account_disabled", "expired"] {
            let name = format!("{kind}{number}");
            let id = world.user(&name, "member");
            let tokens = world.login(&name).await;
            let of_user = format!("session_id IN (SELECT id FROM sessions WHERE user_id = '{id}')");
            match kind {
                "spent" => drop(world.refresh(&tokens.refresh).await),
                "reused" => {
                    let second = Tokens::of(&world.refresh(&tokens.refresh).await);
                    world.refresh(&second.refresh).await;
                    world.sql_and_clear_cache(&format!(
                        "UPDATE refresh_tokens SET rotated_at = '{{}}' WHERE {of_user}"
                    ));
                }
                "ended" => drop(world.post("/api/v1/auth/logout", &tokens.access, json!({})).await),
                "account_disabled" => {
                    let status = json!({"status": "disabled"});
                    drop(world.patch(&format!("/api/v1/users/{id}"), &admin.access, status).await);
                }
                "expired" => {
                    world.sql_and_clear_cache(&format!(
                        "UPDATE refresh_tokens SET expires_at = now() WHERE {of_user}"
                    ));
                }
                _ => {}
            }
            asked.push((kind, tokens));
        }
    }
    // While the roles are locked, the first requests wait for them and the others collect in the queue.
    let mut owner = world.connection();
    owner.batch_execute("SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE roles").unwrap();
    let answers = join_all(asked.iter().map(|(_, tokens)| world.refresh(&tokens.refresh)));
    let (answers, ()) = tokio::join!(answers, async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        owner.batch_execute("ROLLBACK").unwrap();
    });
    for ((kind, tokens), answer) in asked.iter().zip(answers) {
        let expected = match *kind {
            "live" | "spent" => {
                assert_eq!(answer.status, 200, "{kind}: {}", answer.body);
                // A token begins with its session's ID.
                let successor = answer.text("refresh_token");
                assert_eq!(successor[..25], tokens.refresh[..25], "{kind}: its own session's");
                continue;
            }
            "reused" => "refresh_token_reused",
            "ended" => "session_ended",
            "expired" => "session_expired",
            other => other,
        };
        answer.refused(expected);
    }
    // Each event belongs to its own session, and there were few statements.
    for event in ["refresh_repeated", "refresh_token_reused"] {
        let name = if event == "refresh_repeated" { "spent" } else { "reused" };
        let own = format!(
            "SELECT count(DISTINCT e.session_id) FROM audit_events e JOIN sessions s ON s.id = e.session_id
             JOIN users u ON u.id = s.user_id WHERE e.type = '{event}' AND e.subject_name = u.username
             AND u.username LIKE '{name}%'"
        );
        assert_eq!((world.count(&own), world.events(event)), (4, 4), "{event}");
    }
    let live =
        "SELECT count(DISTINCT t.xmin::text) FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id
                JOIN users u ON u.id = s.user_id WHERE u.username LIKE 'live%' OR u.username LIKE 'spent%'";
    assert!(world.count(live) <= 4, "{} transactions", world.count(live));
}

#[actix_web::test]
async fn locked_row_does_not_block_other_refreshes() {
    let world = World::new().await;
    let held = world.signed_in("alice", "member").await;
    let mut others = Vec::new();
    for number in 0..12 {
        others.push(world.signed_in(&format!("other{number}"), "member").await);
    }
    let mut owner = world.connection();
    let of_alice = "SELECT t.* FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id
                    JOIN users u ON u.id = s.user_id WHERE u.username = 'alice' FOR UPDATE OF t";
    owner.batch_execute(&format!("BEGIN; {of_alice}")).unwrap();
    let others = async {
        let answers = join_all(others.iter().map(|tokens| world.refresh(&tokens.refresh))).await;
        owner.batch_execute("ROLLBACK").unwrap();
        answers
    };
    let (held, others) = tokio::join!(world.refresh(&held.refresh), others);
    assert!(others.iter().all(|answer| answer.status == 200), "{others:?}");
    assert_eq!(held.status, 200, "{}: it waited until the others had their answers", held.body);
}

#[actix_web::test]
async fn lost_response_is_repeated_even_a_day_later() {
    let world = World::new().await;
    for pause in [TimeDelta::seconds(5), LATER, TimeDelta::days(1)] {
        let name = format!("alice{}", pause.num_seconds());
        let tokens = world.signed_in(&name, "member").await;
        let lost = world.refresh(&tokens.refresh).await;
        world.advance(pause);
        world.flush().await;
        let again = world.refresh(&tokens.refresh).await;
        assert_eq!(again.status, 200, "{pause}: {}", again.body);
        assert_eq!(again.text("refresh_token"), lost.text("refresh_token"), "a repeat yields the same token");
        assert_eq!(world.get("/api/v1/me", &again.text("access_token")).await.status, 200);
        assert_eq!(world.refresh(&again.text("refresh_token")).await.status, 200);
    }
}

#[actix_web::test]
async fn replay_after_the_response_was_used_ends_the_session() {
    let world = World::new().await;
    let first = world.signed_in("alice", "member").await;
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    assert_eq!(world.get("/api/v1/me", &second.access).await.status, 200);
    world.flush().await;
    world.advance(LATER);
    world.refresh(&first.refresh).await.refused_with("refresh_token_reused", "login", true);
    // The whole session ends at once, for everyone who has any of its tokens.
    let ended = world.get("/api/v1/me", &second.access).await;
    ended.refused_with("session_ended", "login", true);
    assert_eq!(ended.body["reason"], "refresh_token_reused");
    world.refresh(&second.refresh).await.refused_with("session_ended", "login", true);
    world.refresh(&first.refresh).await.refused_with("session_ended", "login", true);
    assert_eq!(world.events("refresh_token_reused"), 1);
    assert_eq!(world.count("SELECT count(*) FROM revocations WHERE kind = 'session'"), 1);
}

#[actix_web::test]
async fn refused_access_token_still_confirms_its_refresh_response() {
    let world = World::new().await;
    let first = world.signed_in("alice", "viewer").await;
    let second = Tokens::of(&world.refresh(&first.refresh).await);
    world.advance(TimeDelta::minutes(10));
    world.get("/api/v1/me", &second.access).await.refused("token_expired");
    world.flush().await;
    world.refresh(&first.refresh).await.refused("refresh_token_reused");
}

#[actix_web::test]
async fn copied_token_is_detected_at_the_first_replay_after_a_use() {
    let world = World::new().await;
    let owner = world.signed_in("alice", "member").await;
    // The thief copies the refresh token and refreshes first.
    let thief = Tokens::of(&world.refresh(&owner.refresh).await);
    world.get("/api/v1/me", &thief.access).await;
    world.flush().await;
    world.advance(LATER);
    world.refresh(&owner.refresh).await.refused("refresh_token_reused");
    world.refresh(&thief.refresh).await.refused("session_ended");
}

#[actix_web::test]
async fn old_refresh_token_is_detected_after_any_number_of_rotations() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let mut live = tokens.refresh.clone();
    for _ in 0..40 {
        live = world.refresh(&live).await.text("refresh_token");
        world.advance(TimeDelta::seconds(20));
    }
    world.refresh(&tokens.refresh).await.refused("refresh_token_reused");
    world.refresh(&live).await.refused("session_ended");
}

#[actix_web::test]
async fn grace_forgives_older_tokens_and_without_it_only_the_last() {
    let world = World::new().await;
    let first = world.signed_in("alice", "member").await;
    let second = world.refresh(&first.refresh).await.text("refresh_token");
    let third = world.refresh(&second).await.text("refresh_token");
    assert_eq!(world.refresh(&first.refresh).await.text("refresh_token"), third);

    let strict = World::with(|settings| settings.refresh_grace = std::time::Duration::ZERO).await;
    let first = strict.signed_in("alice", "member").await;
    let second = strict.refresh(&first.refresh).await.text("refresh_token");
    assert_eq!(strict.refresh(&first.refresh).await.text("refresh_token"), second, "its answer was not seen");
    strict.refresh(&second).await;
    strict.refresh(&first.refresh).await.refused("refresh_token_reused");
}

#[actix_web::test]
async fn thousand_refreshes_in_ten_sessions_leave_ten_rows() {
    let world = World::new().await;
    world.user("alice", "member");
    let chains = (0..10).map(|_| async {
        let mut live = world.login("alice").await.refresh;
        for _ in 0..100 {
            let answer = world.refresh(&live).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            live = answer.text("refresh_token");
        }
    });
    join_all(chains).await;
    assert_eq!(world.count("SELECT count(*) FROM refresh_tokens"), 10);
    assert_eq!(world.count("SELECT count(*) FROM refresh_tokens WHERE generation = 101"), 10);
    assert_eq!(world.count("SELECT count(*) FROM refresh_tokens WHERE array_length(rotated_at, 1) = 16"), 10);
}

#[actix_web::test]
async fn row_set_back_by_a_failover_follows_the_newer_token() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    let mut live = tokens.refresh.clone();
    for _ in 0..3 {
        live = world.refresh(&live).await.text("refresh_token");
    }
    // A failover has lost the last rotations.
    world.sql_and_clear_cache("UPDATE refresh_tokens SET generation = 2, used_generation = 1");
    let followed = world.refresh(&live).await;
    assert_eq!(followed.status, 200, "{}", followed.body);
    assert_eq!(world.count("SELECT generation::bigint AS count FROM refresh_tokens"), 5);
    assert_eq!(world.refresh(&followed.text("refresh_token")).await.status, 200);
}

#[actix_web::test]
async fn use_is_recorded_for_a_kept_token_but_not_for_a_rotated_one() {
    let world = World::with(|settings| settings.simplejwt_routes = SimplejwtRoutes::On).await;
    let tokens = world.signed_in("alice", "member").await;
    let noted = || world.text("SELECT last_used_at::text AS text FROM sessions");
    let started = noted();
    world.advance(LATER);
    let rotated = Tokens::of(&world.refresh(&tokens.refresh).await);
    world.flush().await;
    assert_eq!(noted(), started);
    let keep = json!({ "refresh": rotated.refresh });
    let kept = world.ask(Method::POST, "/api/token/refresh/").json(&keep).send().await;
    assert_eq!(kept.status, 200, "{}", kept.body);
    world.flush().await;
    assert_ne!(noted(), started);
}

#[actix_web::test]
async fn repeat_from_another_address_is_recorded_separately() {
    let world = World::with(|settings| {
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    })
    .await;
    let tokens = world.signed_in("alice", "member").await;
    world.refresh(&tokens.refresh).await;
    for address in ["198.51.100.1", "198.51.100.1", "203.0.113.9", "203.0.113.9"] {
        let ask = world.ask(Method::POST, "/api/v1/auth/refresh").header("x-forwarded-for", address);
        assert_eq!(ask.json(&json!({ "refresh_token": tokens.refresh })).send().await.status, 200);
    }
    let all = "SELECT string_agg(address || details::text, ' ') AS text FROM audit_events
               WHERE type = 'refresh_repeated'";
    let text = world.text(all);
    assert!(text.contains("198.51.100.1") && text.contains("203.0.113.9"), "{text}");
}

#[actix_web::test]
async fn repeats_within_a_minute_are_one_event_with_a_count() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    world.refresh(&tokens.refresh).await;
    for _ in 0..20 {
        assert_eq!(world.refresh(&tokens.refresh).await.status, 200);
    }
    let rows = world.count("SELECT count(*) FROM audit_events WHERE type = 'refresh_repeated'");
    assert!((1..=2).contains(&rows), "a minute may end meanwhile: {rows}");
    assert_eq!(world.events("refresh_repeated"), 20);
}

#[actix_web::test]
async fn step_ups_within_a_minute_are_one_event_with_a_count() {
    let world = World::new().await;
    let mut tokens = world.signed_in("alice", "member").await;
    for _ in 0..3 {
        let answer =
            world.post("/api/v1/auth/step-up", &tokens.access, json!({ "password": PASSWORD })).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        tokens = Tokens::of(&answer);
    }
    let rows = world.count("SELECT count(*) FROM audit_events WHERE type = 'stepped_up'");
    assert!((1..=2).contains(&rows), "a minute may end meanwhile: {rows}");
    assert_eq!(world.events("stepped_up"), 3);
}
