//! Wrong passwords from one address for many accounts that are known there, while their owners sign in at
//! that address.

use chrono::TimeDelta;
use doorward_test::{Answer, Browser, PASSWORD, World};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::operations::throttle::{
    ELSEWHERE, HOME, HashCounter, ask_from, behind_a_proxy, count, guess, held, limited, login, use_up,
};

/// The number of attempts that the limit in `past_limit` allows, each for another name.
const LIMIT: u32 = 4;

/// Creates this many accounts, each of which was signed in to from HOME.
async fn known_at_home(world: &World, accounts: usize) -> Vec<String> {
    let names: Vec<String> = (0..accounts).map(|at| format!("clerk-{at}")).collect();
    for name in &names {
        world.user(name, "member");
        assert_eq!(login(world, HOME, name, PASSWORD).await.status, 200);
    }
    names
}

fn low_limit(settings: &mut doorward::config::Settings) {
    behind_a_proxy(settings);
    settings.login_failures_per_known_address = LIMIT;
}

/// Creates a world in which someone at HOME has exceeded the limit. `owner` is known there and was not tried.
async fn past_limit() -> World {
    let world = World::with(low_limit).await;
    world.stop_time();
    for name in known_at_home(&world, LIMIT as usize).await {
        guess(&world, HOME, &name).await.refused("invalid_credentials");
    }
    world.user("owner", "member");
    assert_eq!(login(&world, HOME, "owner", PASSWORD).await.status, 200);
    world
}

#[actix_web::test]
async fn spraying_from_a_known_address_is_limited() {
    let world = limited().await;
    let names = known_at_home(&world, 80).await;
    let mut by_name = Vec::new();
    for name in &names {
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(guess(&world, HOME, name).await);
        }
        by_name.push((count(&answers, 401), count(&answers, 429)));
    }
    // The attempts for a name weigh 1, 1/2, 1/3 and 1/4, so that 48 names reach the limit of 100.
    assert!(by_name[..47].iter().all(|counts| *counts == (4, 0)), "{by_name:?}");
    assert!(by_name[48..].iter().all(|counts| *counts == (1, 3)), "{by_name:?}");
    let noted = "SELECT address || ' ' || details::text AS text FROM audit_events
        WHERE type = 'too_many_attempts' AND details->>'by' = 'spray'";
    assert_eq!(
        world.text(noted),
        format!("{HOME} {{\"by\": \"spray\", \"limit\": 100, \"network\": \"{HOME}\"}}")
    );
}

#[actix_web::test]
async fn spraying_in_rounds_is_limited() {
    let world = limited().await;
    let names = known_at_home(&world, 80).await;
    let mut rounds = Vec::new();
    for _ in 0..4 {
        let guesses = names.iter().map(|name| guess(&world, HOME, name));
        let answers: Vec<Answer> = stream::iter(guesses).buffered(8).collect().await;
        rounds.push(count(&answers, 401));
    }
    assert_eq!(rounds[0], 80);
    // These are half an attempt for each of 40 more names, and the attempts that ran at the same time.
    assert!((38..50).contains(&rounds[1]), "{rounds:?}");
    assert_eq!(rounds[2..], [0, 0]);
}

#[actix_web::test]
async fn spraying_is_reported_once_an_hour() {
    let world = past_limit().await;
    let sprays = || world.count("SELECT count(*) FROM audit_events WHERE details->>'by' = 'spray'");
    assert_eq!(sprays(), 1);
    guess(&world, HOME, "owner").await.refused("invalid_credentials");
    assert_eq!(sprays(), 1);
    world.advance(TimeDelta::minutes(61));
    for at in 0..LIMIT {
        guess(&world, HOME, &format!("clerk-{at}")).await.refused("invalid_credentials");
    }
    assert_eq!(sprays(), 2);
}

#[actix_web::test]
async fn few_names_with_many_failures_are_not_spraying() {
    let world = World::with(low_limit).await;
    world.stop_time();
    let names = known_at_home(&world, 1).await;
    use_up(&world, HOME, &names[0]).await;
    for wait in [2, 4, 8] {
        assert_eq!(held(&guess(&world, HOME, &names[0]).await), wait);
        world.advance(TimeDelta::seconds(wait as i64));
        guess(&world, HOME, &names[0]).await.refused("invalid_credentials");
    }
    assert_eq!(world.count("SELECT count(*) FROM audit_events WHERE details->>'by' = 'spray'"), 0);
}

#[actix_web::test]
async fn known_names_have_one_free_attempt_beyond_the_limit() {
    let world = past_limit().await;
    // A name that has used its free attempt waits.
    assert_eq!(held(&guess(&world, HOME, "clerk-0").await), 2);
    guess(&world, HOME, "owner").await.refused("invalid_credentials");
    for wait in [2, 4, 8] {
        assert_eq!(held(&guess(&world, HOME, "owner").await), wait);
        world.advance(TimeDelta::seconds(wait as i64));
        guess(&world, HOME, "owner").await.refused("invalid_credentials");
    }
}

#[actix_web::test]
async fn free_attempts_return_when_the_spraying_ends() {
    let world = past_limit().await;
    held(&guess(&world, HOME, "clerk-0").await);
    world.advance(TimeDelta::minutes(61));
    use_up(&world, HOME, "clerk-0").await;
    held(&guess(&world, HOME, "clerk-0").await);
}

#[actix_web::test]
async fn only_one_of_forty_guesses_beyond_the_limit_is_hashed() {
    let one = past_limit().await;
    let other = one.another_node_with(low_limit).await;
    let nodes = [&one, &other];
    let hashes = HashCounter::of(&nodes);
    let answers = join_all((0..40).map(|at| guess(nodes[at % 2], HOME, "owner"))).await;
    assert_eq!(hashes.since(), 1);
    assert_eq!((count(&answers, 401), count(&answers, 429)), (1, 39));
}

#[actix_web::test]
async fn owner_signs_in_during_spraying_from_that_address() {
    let world = past_limit().await;
    for _ in 0..8 {
        assert_eq!(login(&world, HOME, "owner", PASSWORD).await.status, 200);
    }
    let mut browser = Browser::new(&world);
    browser.address = Some(HOME);
    assert_eq!(browser.sign_in("owner", PASSWORD, &[]).await.status, 303);
    // This also holds after a typing mistake, and for a name that was sprayed.
    guess(&world, HOME, "owner").await.refused("invalid_credentials");
    for name in ["owner", "clerk-0"] {
        assert_eq!(held(&login(&world, HOME, name, PASSWORD).await), 2);
    }
    world.advance(TimeDelta::seconds(2));
    for name in ["owner", "clerk-0"] {
        assert_eq!(login(&world, HOME, name, PASSWORD).await.status, 200);
        // A success resets the counts of that name there.
        guess(&world, HOME, name).await.refused("invalid_credentials");
    }
}

#[actix_web::test]
async fn owner_is_not_throttled_elsewhere_by_spraying() {
    let world = past_limit().await;
    assert_eq!(login(&world, "192.0.2.99", "owner", PASSWORD).await.status, 200);
    // An attacker elsewhere does not throttle the owner at this address either.
    use_up(&world, ELSEWHERE, "owner").await;
    held(&guess(&world, ELSEWHERE, "owner").await);
    assert_eq!(login(&world, HOME, "owner", PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn forty_correct_passwords_succeed_during_spraying() {
    let one = past_limit().await;
    let other = one.another_node_with(low_limit).await;
    let nodes = [&one, &other];
    for _ in 0..2 {
        let answers = join_all((0..40).map(|at| login(nodes[at % 2], HOME, "owner", PASSWORD))).await;
        let refused = answers.iter().find(|answer: &&Answer| answer.status != 200);
        assert_eq!(count(&answers, 200), 40, "{refused:?}");
    }
    let left = "SELECT count(*) FROM attempts WHERE kind = 'known_address' AND (level = 0 AND pending = 0)";
    assert_eq!(one.count(left), 1);
}

#[actix_web::test]
async fn correct_passwords_refund_their_attempt_during_spraying() {
    let world = past_limit().await;
    let level = "SELECT round(1000 * level)::bigint AS count FROM attempts WHERE kind = 'spray'";
    let before = world.count(level);
    let access = login(&world, HOME, "owner", PASSWORD).await.text("access_token");
    for _ in 0..8 {
        let ask = ask_from(&world, HOME, "/api/v1/auth/step-up").bearer(&access);
        assert_eq!(ask.json(&json!({ "password": PASSWORD })).send().await.status, 200);
        let scoped = json!({ "username": "owner", "password": PASSWORD, "scope": "users:write" });
        ask_from(&world, HOME, "/api/v1/auth/login").json(&scoped).send().await.refused("permission_denied");
    }
    world.sql("UPDATE users SET password_hash = 'odd' WHERE username = 'owner'");
    for _ in 0..8 {
        guess(&world, HOME, "owner").await.refused("internal_error");
    }
    assert_eq!(world.count(level), before);
}

#[actix_web::test]
async fn wrong_step_up_passwords_count_as_spraying() {
    let world = World::with(low_limit).await;
    world.stop_time();
    for name in known_at_home(&world, LIMIT as usize).await {
        let access = login(&world, HOME, &name, PASSWORD).await.text("access_token");
        let ask = ask_from(&world, HOME, "/api/v1/auth/step-up").bearer(&access);
        ask.json(&json!({ "password": "wrong" })).send().await.refused("validation_failed");
    }
    assert_eq!(world.count("SELECT count(*) FROM audit_events WHERE details->>'by' = 'spray'"), 1);
}
