//! The records of refusals, their contents, and which of them are deleted first.

use std::time::Duration;

use chrono::TimeDelta;
use doorward_test::World;
use reqwest::Method;
use serde_json::json;

async fn keep(world: &World) {
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
}

#[actix_web::test]
async fn refusal_records_do_not_contain_secrets() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let (personal, _) = world.personal_token(&alice.access, "notes:read").await;
    world.post("/api/v1/auth/logout", &alice.access, json!({})).await;
    world
        .get(&format!("/api/v1/me?access_token={}", alice.access), &alice.access)
        .await
        .refused("session_ended");
    world.refresh(&alice.refresh).await.refused("session_ended");
    world.ask(Method::GET, "/api/v1/me").basic("bob", &personal).send().await.refused("token_unknown");
    world
        .ask(Method::GET, "/api/v1/users")
        .basic("bob", "hunter2-is-secret")
        .send()
        .await
        .refused("token_malformed");
    let wrong = json!({"username": "alice", "password": "a wrong secret"});
    world.ask(Method::POST, "/api/v1/auth/login").json(&wrong).send().await.refused("invalid_credentials");
    keep(&world).await;
    assert!(world.count("SELECT count(*) FROM refusals") >= 5);
    let all = world.text("SELECT string_agg(row(refusals.*)::text, ' ') AS text FROM refusals");
    let signature = alice.access.rsplit('.').next().unwrap();
    for secret in [signature, &alice.refresh[4..], &personal[4..], "a wrong secret", "hunter2-is-secret"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[actix_web::test]
async fn flood_of_invalid_tokens_is_counted_and_displaces_only_itself() {
    let world = World::with(|settings| settings.refusal_rows = 100).await;
    let alice = world.signed_in("alice", "member").await;
    world.post("/api/v1/auth/logout", &alice.access, json!({})).await;
    let worthy = world.get("/api/v1/me", &alice.access).await.text("request_id");
    let mut sent = 1;
    for _ in 0..3 {
        for _ in 0..400 {
            world.get("/api/v1/me", "garbage").await.refused("token_malformed");
            sent += 1;
        }
        keep(&world).await;
    }
    let (kept, dropped) = world.state.recorder.kept_refusals.counts();
    assert_eq!(kept + dropped, sent);
    assert!(dropped > 0 && kept > 0, "{kept} {dropped}");
    // A tenth of the bound belongs to unproven refusals. They may exceed it by one batch until the next.
    let unproven = world.count("SELECT count(*) FROM refusals WHERE lane = 'unproven'");
    assert!(unproven <= 10, "{unproven}");
    let left = world.count(&format!("SELECT count(*) FROM refusals WHERE request_id = '{worthy}'"));
    assert_eq!(left, 1);
}

/// Sends this many requests with the token, and writes the records after every two hundred.
async fn repeat_refused(world: &World, path: &str, token: &str, times: usize) {
    for number in 1..=times {
        assert!(world.get(path, token).await.status >= 400);
        if number % 200 == 0 {
            keep(world).await;
        }
    }
}

#[actix_web::test]
async fn ended_credential_does_not_displace_refusals_of_a_live_one() {
    let world = World::with(|settings| settings.refusal_rows = 100).await;
    let alice = world.signed_in("alice", "member").await;
    let mallory = world.signed_in("mallory", "member").await;
    let worthy = world.get("/api/v1/users", &alice.access).await.text("request_id");
    keep(&world).await;
    world.post("/api/v1/auth/logout", &mallory.access, json!({})).await;
    repeat_refused(&world, "/api/v1/me", &mallory.access, 400).await;
    let left = world.count(&format!("SELECT count(*) FROM refusals WHERE request_id = '{worthy}'"));
    assert_eq!(left, 1);
    let dead = world.count("SELECT count(*) FROM refusals WHERE lane = 'dead'");
    assert!((1..=25).contains(&dead), "{dead}");
}

#[actix_web::test]
async fn live_credential_displaces_its_own_refusals_first() {
    let world = World::with(|settings| settings.refusal_rows = 100).await;
    let alice = world.signed_in("alice", "member").await;
    let mallory = world.signed_in("mallory", "member").await;
    let worthy = world.get("/api/v1/users", &alice.access).await.text("request_id");
    keep(&world).await;
    repeat_refused(&world, "/api/v1/users", &mallory.access, 400).await;
    let left = world.count(&format!("SELECT count(*) FROM refusals WHERE request_id = '{worthy}'"));
    assert_eq!(left, 1);
    assert_eq!(world.count("SELECT count(*) FROM refusals WHERE lane = 'proven'"), 100);
}

/// Makes statements that contain `part` fail to delete refusals.
fn refuse_deletes(world: &World, part: &str) {
    world.sql(&format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF current_query() LIKE '%{part}%' THEN RAISE 'refused'; END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER refuse BEFORE DELETE ON refusals EXECUTE FUNCTION refuse()"
    ));
}

#[actix_web::test]
async fn failed_trimming_is_retried_after_more_rows() {
    let world = World::with(|settings| settings.refusal_rows = 1_000).await;
    let alice = world.signed_in("alice", "member").await;
    let flush = || world.state.recorder.kept_refusals.flush(&world.state.core.database);
    world.get("/api/v1/users", &alice.access).await;
    keep(&world).await;
    world.sql(
        "INSERT INTO refusals (request_id, lane, occurred_at, method, route, path, status, problem, checks)
         SELECT gen_random_uuid(), lane, occurred_at, method, route, path, status, problem, checks
         FROM refusals, generate_series(1, 12000)",
    );
    refuse_deletes(&world, "DELETE FROM refusals");
    for _ in 0..10 {
        world.get("/api/v1/users", &alice.access).await;
    }
    assert!(flush().await.is_err());
    assert!(flush().await.is_ok(), "nothing was written since");
    world.sql("DROP TRIGGER refuse ON refusals");
    for _ in 0..10 {
        world.get("/api/v1/users", &alice.access).await;
    }
    keep(&world).await;
    assert_eq!(world.count("SELECT count(*) FROM refusals"), 1_000);
}

#[actix_web::test]
async fn oldest_refusals_are_deleted_when_owners_cannot_be_counted() {
    let world = World::with(|settings| settings.refusal_rows = 100).await;
    let alice = world.signed_in("alice", "member").await;
    let mallory = world.signed_in("mallory", "member").await;
    world.get("/api/v1/users", &alice.access).await;
    refuse_deletes(&world, "row_number");
    repeat_refused(&world, "/api/v1/users", &mallory.access, 200).await;
    let rows = |user: &str| {
        world.count(&format!(
            "SELECT count(*) FROM refusals JOIN users ON users.id = user_id WHERE username = '{user}'"
        ))
    };
    assert_eq!((rows("alice"), rows("mallory")), (0, 100));
}

#[actix_web::test]
async fn unwritable_refusals_are_kept_and_written_later() {
    let world = World::new().await;
    world.sql("ALTER TABLE refusals RENAME TO elsewhere");
    let refused = world.get("/api/v1/me", "garbage").await;
    refused.refused("token_malformed");
    assert!(world.state.recorder.kept_refusals.flush(&world.state.core.database).await.is_err());
    world.sql("ALTER TABLE elsewhere RENAME TO refusals");
    keep(&world).await;
    let id = refused.text("request_id");
    assert_eq!(world.count(&format!("SELECT count(*) FROM refusals WHERE request_id = '{id}'")), 1);
}

#[actix_web::test]
async fn refusal_with_a_nul_is_kept_and_does_not_block_others() {
    let world = World::new().await;
    let body = json!({ "username": "a", "password": "b", "odd\u{0}name": 1 });
    let odd = world.ask(Method::POST, "/api/v1/auth/login").json(&body).send().await;
    odd.refused("validation_failed");
    let after = world.get("/api/v1/me", "garbage").await;
    keep(&world).await;
    for refused in [&odd, &after] {
        let id = refused.text("request_id");
        assert_eq!(world.count(&format!("SELECT count(*) FROM refusals WHERE request_id = '{id}'")), 1);
    }
}

#[actix_web::test]
async fn refusal_retention_controls_keeping_and_pruning() {
    use doorward::database::prune::{self, Retention};
    let world = World::with(|settings| settings.refusal_retention = Duration::ZERO).await;
    world.get("/api/v1/me", "garbage").await.refused("token_malformed");
    keep(&world).await;
    assert_eq!(world.count("SELECT count(*) FROM refusals"), 0);
    let keeping = World::new().await;
    keeping.get("/api/v1/me", "garbage").await;
    keep(&keeping).await;
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let retention = Retention { audit_events: days(400), refusals: days(7), known_addresses: days(90) };
    keeping.advance(TimeDelta::days(6));
    prune::run(&keeping.state.core.database, retention, |_| ()).await.unwrap().unwrap();
    assert_eq!(keeping.count("SELECT count(*) FROM refusals"), 1);
    keeping.advance(TimeDelta::days(2));
    prune::run(&keeping.state.core.database, retention, |_| ()).await.unwrap().unwrap();
    assert_eq!(keeping.count("SELECT count(*) FROM refusals"), 0);
}

#[actix_web::test]
async fn ipv6_network_does_not_displace_refusals_of_other_addresses() {
    let world = World::with(|settings| {
        crate::operations::throttle::behind_a_proxy(settings);
        settings.refusal_rows = 100;
    })
    .await;
    let ask = async |address: &str| {
        let ask = world.ask(Method::GET, "/api/v1/me").bearer("garbage").header("x-forwarded-for", address);
        ask.send().await.refused("token_malformed");
    };
    for _ in 0..5 {
        ask("198.51.100.7").await;
    }
    keep(&world).await;
    for at in 0..40 {
        ask(&format!("2001:db8:1:{at:x}::{at:x}")).await;
        if at % 20 == 19 {
            keep(&world).await;
        }
    }
    let of = |address: &str| {
        let count =
            format!("SELECT count(*) FROM refusals WHERE lane = 'unproven' AND address LIKE '{address}'");
        world.count(&count)
    };
    assert_eq!((of("198.51.100.7"), of("2001:db8:1:%")), (5, 5));
}
