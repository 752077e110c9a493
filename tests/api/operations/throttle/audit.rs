//! The records of throttled attempts are bounded.

use chrono::TimeDelta;
use doorward_test::World;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use serde_json::{Value, json};

use super::{ELSEWHERE, HOME, HashCounter, ask_from, behind_a_proxy, count, guess, held, limited, use_up};

#[actix_web::test]
async fn flood_is_refused_before_hashing_and_recorded_once() {
    let world = limited().await;
    let alice = world.user("alice", "member");
    use_up(&world, ELSEWHERE, "alice").await;
    let worlds = [&world];
    let hashes = HashCounter::of(&worlds);
    let answers = join_all((0..200).map(|_| guess(&world, ELSEWHERE, "alice"))).await;
    assert_eq!((count(&answers, 429), hashes.since()), (200, 0));
    assert_eq!(world.events("too_many_attempts"), 1);
    let noted = "SELECT subject_id || ' ' || address || ' ' || details::text AS text FROM audit_events
        WHERE type = 'too_many_attempts'";
    assert_eq!(world.text(noted), format!("{alice} {ELSEWHERE} {{\"by\": \"name\", \"retry_after\": 2}}"));
    // Attempts in the next hour are a new burst.
    world.advance(TimeDelta::hours(2));
    use_up(&world, ELSEWHERE, "alice").await;
    held(&guess(&world, ELSEWHERE, "alice").await);
    assert_eq!(world.events("too_many_attempts"), 2);
}

#[actix_web::test]
async fn throttling_events_are_rate_limited_in_the_audit_log() {
    let world = World::with(|settings| {
        behind_a_proxy(settings);
        settings.login_failures = 1;
    })
    .await;
    world.stop_time();
    let names = 120;
    let bursts = (0..names).map(|at| {
        let (address, name) = (format!("198.51.100.{at}"), format!("name-{at}"));
        let world = &world;
        async move {
            guess(world, &address, &name).await.refused("invalid_credentials");
            held(&guess(world, &address, &name).await)
        }
    });
    let bursts: Vec<u64> = stream::iter(bursts).buffer_unordered(8).collect().await;
    assert_eq!(bursts.len(), names);
    let noted = world.events("too_many_attempts");
    assert!((60..names as i64).contains(&noted), "{noted}");
}

#[actix_web::test]
async fn throttled_sign_in_is_kept_counted_and_explained() {
    let world = limited().await;
    use_up(&world, ELSEWHERE, "alice").await;
    let refused = guess(&world, ELSEWHERE, "alice").await;
    let id = refused.text("request_id");
    let explained =
        ask_from(&world, HOME, "/api/v1/auth/explain").json(&json!({ "request_id": id })).send().await;
    assert_eq!(explained.status, 200, "{}", explained.body);
    assert_eq!(explained.body["problem"]["code"], "too_many_attempts");
    assert_eq!(explained.body["problem"]["retry_after"], refused.body["retry_after"]);
    let reached = |line: &&Value| line["outcome"] != "not_reached";
    assert_eq!(explained.body["checks"].as_array().unwrap().iter().filter(reached).count(), 0);
    world.state.recorder.refusal_counts.flush(&world.state.core.database).await.unwrap();
    let counted = "SELECT sum(count)::bigint AS count FROM refusal_counts WHERE code = 'too_many_attempts'";
    assert_eq!(world.count(counted), 1);
}
