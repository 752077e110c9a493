//! Expired rows are deleted in batches, by one process at a time. A dry run counts them.

use std::process::Command;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use doorward::database::prune::{self, Pruned, Retention, prune_batch};
use doorward_test::{Browser, World};
use serde_json::Value;

/// The advisory lock's number.
const LOCK: &str = "x'7072756e65'::bigint";

fn retention() -> Retention {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    Retention { audit_events: days(400), refusals: days(7), known_addresses: days(90) }
}

fn doorward(world: &World, arguments: &[&str]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DOORWARD")) {
        command.env_remove(name);
    }
    command.args(arguments).env("DATABASE_URL", &world.database.url).current_dir("/");
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert!(output.status.success(), "{}", text(output.stderr));
    (text(output.stdout), text(output.stderr))
}

fn doorward_json(world: &World, arguments: &[&str]) -> Value {
    serde_json::from_str(&doorward(world, arguments).0).unwrap()
}

/// Inserts more than two batches of expired audit events, and one that is not expired.
fn old_events(world: &World) {
    world.sql(
        "DELETE FROM audit_events;
         INSERT INTO audit_events (id, type, occurred_at)
         SELECT gen_random_uuid(), 'user_created', now() - interval '401 days' FROM generate_series(1, 12000)
         UNION ALL SELECT gen_random_uuid(), 'user_created', now() - interval '399 days'",
    );
}

#[actix_web::test]
async fn batch_is_limited_and_newer_events_are_kept() {
    let world = World::new().await;
    old_events(&world);
    let mut connection = world.connection();
    let mut batches = Vec::new();
    while let Some(batch) = prune_batch(&mut connection, retention()).unwrap().filter(|b| b.total() > 0) {
        batches.push(batch.audit_events);
    }
    assert_eq!(batches, [5_000, 5_000, 2_000]);
    assert_eq!(world.count("SELECT count(*) FROM audit_events"), 1);
}

#[actix_web::test]
async fn prune_is_skipped_while_another_process_prunes() {
    let world = World::new().await;
    let other = world.another_node().await;
    old_events(&world);
    let mut owner = world.connection();
    owner.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})")).unwrap();
    let mut batches = 0;
    let run = prune::run(&other.state.core.database, retention(), |_| batches += 1).await.unwrap();
    assert!(run.is_none() && batches == 0);
    let said = doorward_json(&world, &["prune", "--json"]);
    assert_eq!((&said["elsewhere"], &said["audit_events"]), (&true.into(), &0.into()));
    assert!(doorward(&world, &["prune"]).0.contains("Another process is pruning"));
    assert_eq!(world.count("SELECT count(*) FROM audit_events"), 12_001);
    owner.batch_execute("COMMIT").unwrap();

    // When both run at once, each batch belongs to one of them, and neither of them fails.
    let of = |world: &World| {
        let database = world.state.core.database.clone();
        async move {
            let mut deleted = Pruned::default();
            prune::run(&database, retention(), |batch| deleted.add(batch)).await.unwrap();
            deleted.audit_events
        }
    };
    let (one, two) = tokio::join!(of(&world), of(&other));
    let rest = prune::run(&world.state.core.database, retention(), |_| ()).await.unwrap().unwrap();
    assert_eq!(one + two + rest.audit_events, 12_000);
    assert_eq!(world.count("SELECT count(*) FROM audit_events"), 1);
}

#[actix_web::test]
async fn dry_run_counts_what_a_run_would_delete_and_keeps_it() {
    let world = World::new().await;
    let tokens = world.signed_in("alice", "member").await;
    world.personal_token(&tokens.access, "notes:read").await;
    world.get("/api/v1/me", "nonsense").await.refused("token_malformed");
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
    world.post("/api/v1/auth/logout", &tokens.access, serde_json::json!({})).await;
    world.advance(TimeDelta::days(500));
    old_events(&world);
    let rows = "SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM audit_events)
        + (SELECT count(*) FROM personal_tokens) + (SELECT count(*) FROM revocations)
        + (SELECT count(*) FROM refusals) AS count";
    let before = world.count(rows);
    let dry = doorward_json(&world, &["prune", "--dry-run", "--json"]);
    assert_eq!(world.count(rows), before);
    assert!(doorward(&world, &["prune", "--dry-run"]).0.contains("12000 audit events"));
    for what in ["sessions", "personal_tokens", "revocations", "audit_events", "refusals"] {
        assert!(dry[what].as_u64().unwrap() > 0, "{what}: {dry}");
    }
    let (said, progress) = doorward(&world, &["prune", "--json"]);
    let done: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(progress, "", "nothing for people where the output is for programs");
    for (what, rows) in dry.as_object().unwrap() {
        assert!(what == "dry_run" || done[what] == *rows, "{what}: {dry} {done}");
    }
    assert_eq!(world.count(rows), 1, "the event that is not past its time");
    assert_eq!(doorward_json(&world, &["prune", "--dry-run", "--json"])["audit_events"], 0);
}

#[actix_web::test]
async fn background_prune_reports_rows_and_time_as_metrics() {
    let world = World::new().await;
    old_events(&world);
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _recorded = metrics::set_default_local_recorder(&recorder);
    doorward::app::background::prune(&world.state, retention()).await;
    let rendered = handle.render();
    assert!(rendered.contains("doorward_pruned_rows_total{kind=\"audit_events\"} 12000"), "{rendered}");
    let at = rendered.lines().find_map(|line| line.strip_prefix("doorward_pruned_at_seconds ")).unwrap();
    let age = world.state.core.clock.now().timestamp() as f64 - at.parse::<f64>().unwrap();
    assert!((0.0..600.0).contains(&age), "{rendered}");
}

/// Prunes, and counts the remaining sessions.
async fn sessions_left(world: &World) -> i64 {
    prune::run(&world.state.core.database, retention(), |_| ()).await.unwrap().unwrap();
    world.count("SELECT count(*) FROM sessions")
}

#[actix_web::test]
async fn ended_session_is_deleted_when_its_tokens_have_expired() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let mut browser = Browser::signed_in(&world, "alice").await;
    world.post("/api/v1/auth/logout", &alice.access, serde_json::json!({})).await;
    browser.fill_in("/account", "/logout", &[]).await;
    assert_eq!(sessions_left(&world).await, 2);
    world.advance(TimeDelta::hours(37));
    assert_eq!(sessions_left(&world).await, 1, "a cookie is good for twelve hours");
    world.advance(TimeDelta::days(28));
    world.refresh(&alice.refresh).await.refused("session_ended");
    world.advance(TimeDelta::days(2));
    assert_eq!(sessions_left(&world).await, 0, "a refresh token is good for thirty days");
    world.refresh(&alice.refresh).await.refused("refresh_token_unknown");
}

#[actix_web::test]
async fn unused_live_session_is_kept_until_its_absolute_end() {
    let world = World::new().await;
    world.signed_in("alice", "member").await;
    world.advance(TimeDelta::days(60));
    assert_eq!(sessions_left(&world).await, 1);
    world.advance(TimeDelta::days(32));
    assert_eq!(sessions_left(&world).await, 0);
}

#[actix_web::test]
async fn revoked_token_is_kept_as_long_as_audit_events() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let body = serde_json::json!({ "name": "a", "scope": "notes:read", "expires_in": 10 * 365 * 86_400 });
    let made = world.post("/api/v1/me/tokens", &alice.access, body).await;
    world.delete(&format!("/api/v1/me/tokens/{}", made.text("id")), &alice.access).await;
    let left = || world.count("SELECT count(*) FROM personal_tokens");
    world.advance(TimeDelta::days(399));
    sessions_left(&world).await;
    assert_eq!(left(), 1);
    world.advance(TimeDelta::days(2));
    sessions_left(&world).await;
    assert_eq!(left(), 0);
}
