//! Attempts to guess a password or a token, or to cause cost, are counted before they are made. Tests whom
//! the limits throttle, for how long, and whom they do not.

mod attempt_budget;
mod ipv6;
mod spraying;

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Ask, Browser, PASSWORD, Tokens, World, limit_tries};

/// An address that no one has signed in from, and one that users have signed in from.
pub const ELSEWHERE: &str = "198.51.100.66";
pub const HOME: &str = "192.0.2.10";

/// Creates a world with the default limits, behind a trusted proxy that names the client address.
pub async fn limited() -> World {
    let world = World::with(behind_a_proxy).await;
    world.stop_time();
    world
}

pub fn behind_a_proxy(settings: &mut doorward::config::Settings) {
    limit_tries(settings);
    settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
}

pub fn ask_from(world: &World, address: &str, path: &str) -> Ask {
    world.ask(Method::POST, path).header("x-forwarded-for", address)
}

pub async fn login(world: &World, address: &str, name: &str, password: &str) -> Answer {
    let body = json!({ "username": name, "password": password });
    ask_from(world, address, "/api/v1/auth/login").json(&body).send().await
}

pub async fn guess(world: &World, address: &str, name: &str) -> Answer {
    login(world, address, name, "a guess that is wrong").await
}

/// Makes as many wrong guesses as cost no wait.
pub async fn use_up(world: &World, address: &str, name: &str) {
    for _ in 0..5 {
        guess(world, address, name).await.refused("invalid_credentials");
    }
}

/// Checks that the answer is a complete 429, and returns its wait in seconds.
#[track_caller]
pub fn held(answer: &Answer) -> u64 {
    answer.refused_with("too_many_attempts", "wait", false);
    let wait = answer.body["retry_after"].as_u64().unwrap();
    assert_eq!(answer.header("retry-after"), Some(wait.to_string().as_str()));
    wait
}

/// Counts the password verifications since the last call of `since`.
pub struct HashCounter<'a>(&'a [&'a World], AtomicU64);

impl<'a> HashCounter<'a> {
    pub fn of(worlds: &'a [&'a World]) -> Self {
        let hashes = Self(worlds, AtomicU64::new(0));
        hashes.since();
        hashes
    }

    pub fn since(&self) -> u64 {
        let all = self.0.iter().map(|world| world.state.core.passwords.verified()).sum();
        all - self.1.swap(all, Ordering::Relaxed)
    }
}

pub fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[actix_web::test]
async fn after_five_wrong_passwords_the_next_waits_two_seconds_then_four_then_eight() {
    let world = limited().await;
    world.user("alice", "member");
    use_up(&world, ELSEWHERE, "alice").await;
    for wait in [2, 4, 8, 16] {
        assert_eq!(held(&guess(&world, ELSEWHERE, "alice").await), wait);
        world.advance(TimeDelta::seconds(wait as i64));
        guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    }
}

#[actix_web::test]
async fn what_is_held_up_is_told_for_how_long_and_the_time_counts_down() {
    let world = limited().await;
    use_up(&world, ELSEWHERE, "alice").await;
    for wait in [2, 4, 8] {
        world.advance(TimeDelta::seconds(wait));
        guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    }
    let waits = |answer: Answer| (held(&answer), answer.text("detail"));
    let (wait, detail) = waits(guess(&world, ELSEWHERE, "alice").await);
    assert!(wait == 16 && detail.contains("in 16 s"), "{detail}");
    world.advance(TimeDelta::seconds(10));
    assert_eq!(waits(guess(&world, ELSEWHERE, "alice").await).0, 6);
    world.advance(TimeDelta::milliseconds(500));
    // The node answers from its cache for up to a second.
    assert_eq!(waits(guess(&world, ELSEWHERE, "alice").await).0, 6);
    world.advance(TimeDelta::milliseconds(4_500));
    assert_eq!(waits(guess(&world, ELSEWHERE, "alice").await).0, 1);
    world.advance(TimeDelta::seconds(1));
    guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
}

/// The deleted rows show whether the node asked the database.
#[actix_web::test]
async fn what_the_database_said_of_a_name_that_is_held_up_a_node_goes_by_for_a_second() {
    let world = limited().await;
    let mut lifted = world.connection();
    use_up(&world, ELSEWHERE, "alice").await;
    held(&guess(&world, ELSEWHERE, "alice").await);
    lifted.batch_execute("DELETE FROM attempts").unwrap();
    held(&guess(&world, ELSEWHERE, "ALICE").await);
    guess(&world, ELSEWHERE, "bob").await.refused("invalid_credentials");
    guess(&world, HOME, "alice").await.refused("invalid_credentials");
    world.advance(TimeDelta::seconds(1));
    guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
}

#[actix_web::test]
async fn no_wait_is_longer_than_the_setting_says_even_where_the_clock_was_set_back() {
    let world = limited().await;
    let mut waits = Vec::new();
    use_up(&world, ELSEWHERE, "alice").await;
    for _ in 0..12 {
        let wait = held(&guess(&world, ELSEWHERE, "alice").await);
        waits.push(wait);
        world.advance(TimeDelta::seconds(wait as i64));
        guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    }
    assert_eq!(waits.iter().max(), Some(&900), "{waits:?}");
    world.advance(TimeDelta::hours(-5));
    guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
}

#[actix_web::test]
async fn wrong_passwords_are_forgotten_one_after_the_other_within_an_hour() {
    let world = limited().await;
    use_up(&world, ELSEWHERE, "alice").await;
    // One wrong password is forgotten every twelve minutes.
    world.advance(TimeDelta::minutes(25));
    for _ in 0..2 {
        guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    }
    assert_eq!(held(&guess(&world, ELSEWHERE, "alice").await), 2);
    world.advance(TimeDelta::minutes(90));
    use_up(&world, ELSEWHERE, "alice").await;
    held(&guess(&world, ELSEWHERE, "alice").await);
}

#[actix_web::test]
async fn of_forty_wrong_passwords_at_once_five_are_hashed() {
    let world = limited().await;
    world.user("alice", "member");
    for name in ["alice", "nobody"] {
        let hashes = [&world];
        let hashes = HashCounter::of(&hashes);
        let answers = join_all((0..40).map(|_| guess(&world, ELSEWHERE, name))).await;
        assert_eq!(hashes.since(), 5, "{name}");
        assert_eq!((count(&answers, 401), count(&answers, 429)), (5, 35), "{name}");
        answers.iter().filter(|answer| answer.status == 429).for_each(|answer| assert_eq!(held(answer), 2));
    }
}

#[actix_web::test]
async fn of_forty_at_once_on_two_nodes_five_are_hashed_from_known_addresses_too() {
    let one = limited().await;
    let other = one.another_node_with(behind_a_proxy).await;
    one.user("alice", "member");
    login(&one, HOME, "alice", PASSWORD).await;
    let nodes = [&one, &other];
    for address in [HOME, ELSEWHERE] {
        let hashes = HashCounter::of(&nodes);
        let guesses = (0..40).map(|at| guess(nodes[at % 2], address, "alice"));
        let answers = join_all(guesses).await;
        assert_eq!(hashes.since(), 5, "{address}");
        assert_eq!((count(&answers, 401), count(&answers, 429)), (5, 35), "{address}");
    }
}

#[actix_web::test]
async fn forty_right_passwords_at_once_from_one_address_all_get_in() {
    let one = limited().await;
    let other = one.another_node_with(behind_a_proxy).await;
    one.user("robot", "member");
    let nodes = [&one, &other];
    for _ in 0..2 {
        let logins = (0..40).map(|at| login(nodes[at % 2], HOME, "robot", PASSWORD));
        let answers = join_all(logins).await;
        assert_eq!(count(&answers, 200), 40, "{:?}", answers.iter().find(|answer| answer.status != 200));
    }
    assert_eq!(one.count("SELECT count(*) FROM attempts WHERE level > 0.01 OR pending > 0"), 0);
}

#[actix_web::test]
async fn an_attacker_elsewhere_does_not_hold_up_the_owner_where_he_signed_in_before() {
    let world = limited().await;
    world.user("alice", "member");
    assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
    use_up(&world, ELSEWHERE, "alice").await;
    held(&guess(&world, ELSEWHERE, "alice").await);
    // From an address that is not known, the owner waits like the attacker.
    held(&login(&world, "203.0.113.5", "alice", PASSWORD).await);
    for _ in 0..10 {
        assert_eq!(login(&world, HOME, "ALICE", PASSWORD).await.status, 200);
        held(&guess(&world, ELSEWHERE, "alice").await);
    }
    let mut browser = Browser::new(&world);
    browser.address = Some(HOME);
    assert_eq!(browser.sign_in("alice", PASSWORD, &[]).await.status, 303);
}

#[actix_web::test]
async fn an_address_is_known_to_the_account_that_signed_in_from_it_and_to_no_other() {
    let world = limited().await;
    world.user("alice", "member");
    world.user("bob", "member");
    login(&world, HOME, "bob", PASSWORD).await;
    use_up(&world, ELSEWHERE, "alice").await;
    held(&login(&world, HOME, "alice", PASSWORD).await);
}

#[actix_web::test]
async fn a_known_address_has_free_tries_of_its_own_and_no_more_than_others() {
    let world = limited().await;
    world.user("alice", "member");
    login(&world, HOME, "alice", PASSWORD).await;
    use_up(&world, ELSEWHERE, "alice").await;
    use_up(&world, HOME, "alice").await;
    assert_eq!(held(&login(&world, HOME, "alice", PASSWORD).await), 2);
    world.advance(TimeDelta::seconds(2));
    assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn a_success_resets_its_own_count_and_nobody_elses() {
    let world = limited().await;
    world.user("alice", "member");
    world.user("mallory", "member");
    login(&world, HOME, "alice", PASSWORD).await;
    // The success resets the count of its own account and address.
    for _ in 0..3 {
        for _ in 0..4 {
            guess(&world, HOME, "alice").await.refused("invalid_credentials");
        }
        assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
    }
    // It does not reset the count of the same account elsewhere.
    for _ in 0..4 {
        guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    }
    assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
    guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    held(&guess(&world, ELSEWHERE, "alice").await);
    // It resets neither the count of another account at the same address nor the address's.
    for at in 0..45 {
        guess(&world, ELSEWHERE, &format!("name-{at}")).await.refused("invalid_credentials");
        if at % 9 == 0 {
            assert_eq!(login(&world, ELSEWHERE, "mallory", PASSWORD).await.status, 200);
        }
    }
    held(&guess(&world, ELSEWHERE, "one-more").await);
    held(&guess(&world, ELSEWHERE, "alice").await);
}

#[actix_web::test]
async fn a_success_from_a_new_address_takes_back_only_its_own_try() {
    let world = limited().await;
    world.user("alice", "member");
    for _ in 0..4 {
        guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    }
    assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
    guess(&world, ELSEWHERE, "alice").await.refused("invalid_credentials");
    held(&guess(&world, ELSEWHERE, "alice").await);
    let levels = "SELECT round(level)::bigint AS count FROM attempts WHERE kind = 'address' ORDER BY level";
    assert_eq!(world.count(levels), 0, "the owner's address");
}

#[actix_web::test]
async fn an_address_is_held_up_for_all_names_but_not_for_those_who_signed_in_there() {
    let world = limited().await;
    world.user("alice", "member");
    world.user("bob", "member");
    login(&world, HOME, "alice", PASSWORD).await;
    for at in 0..50 {
        guess(&world, HOME, &format!("name-{at}")).await.refused("invalid_credentials");
    }
    let refused = login(&world, HOME, "bob", PASSWORD).await;
    assert!(held(&refused) == 2 && refused.text("detail").contains("from your address"), "{}", refused.body);
    assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
    assert_eq!(login(&world, ELSEWHERE, "bob", PASSWORD).await.status, 200);
    // Attempts that the address's limit throttled do not count against the name.
    assert_eq!(world.count("SELECT count(*) FROM attempts WHERE kind = 'name' AND round(level) > 1"), 0);
}

#[actix_web::test]
async fn past_the_limit_over_all_only_new_addresses_wait() {
    let world = World::with(|settings| {
        behind_a_proxy(settings);
        settings.login_failures_in_all = 20;
    })
    .await;
    world.user("alice", "member");
    login(&world, HOME, "alice", PASSWORD).await;
    for at in 0..20 {
        guess(&world, &format!("198.51.100.{at}"), &format!("name-{at}"))
            .await
            .refused("invalid_credentials");
    }
    held(&guess(&world, "203.0.113.1", "another").await);
    assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn an_ipv6_network_of_64_bits_counts_as_one_address() {
    let world = limited().await;
    world.user("alice", "member");
    login(&world, "2001:db8:1:1::1", "alice", PASSWORD).await;
    for at in 0..50 {
        let address = format!("2001:db8:1:1:{at:x}::1");
        guess(&world, &address, &format!("name-{at}")).await.refused("invalid_credentials");
    }
    held(&guess(&world, "2001:db8:1:1:ffff::1", "another").await);
    guess(&world, "2001:db8:1:2::1", "another").await.refused("invalid_credentials");
    // Another address in the owner's network is known too.
    use_up(&world, ELSEWHERE, "alice").await;
    assert_eq!(login(&world, "2001:db8:1:1::2", "alice", PASSWORD).await.status, 200);
    held(&login(&world, "2001:db8:1:3::1", "alice", PASSWORD).await);
}

#[actix_web::test]
async fn forwarded_addresses_are_believed_from_trusted_proxies_only() {
    let world = World::with(limit_tries).await;
    use_up(&world, ELSEWHERE, "alice").await;
    let body = json!({ "username": "alice", "password": "a guess that is wrong" });
    for at in 0..44 {
        let ask =
            world.ask(Method::POST, "/api/v1/auth/login").header("forwarded", format!("for=192.0.2.{at}"));
        let name = json!({ "username": format!("name-{at}"), "password": "wrong" });
        ask.json(&name).send().await.refused("invalid_credentials");
    }
    guess(&world, ELSEWHERE, "the-fiftieth").await.refused("invalid_credentials");
    let refused = world.ask(Method::POST, "/api/v1/auth/login").header("forwarded", "for=203.0.113.9");
    held(&refused.json(&body).send().await);
    assert_eq!(world.count("SELECT count(*) FROM attempts WHERE kind = 'address'"), 1);

    let trusting = limited().await;
    for (header, value) in [
        ("forwarded", "for=203.0.113.1;proto=https"),
        ("forwarded", "for=\"[2001:db8::1]:4711\""),
        ("x-forwarded-for", "203.0.113.1"),
    ] {
        trusting.ask(Method::POST, "/api/v1/auth/login").header(header, value).json(&body).send().await;
    }
    assert_eq!(trusting.count("SELECT count(*) FROM attempts WHERE kind = 'address'"), 2);
    let addresses = "SELECT string_agg(DISTINCT address, ' ' ORDER BY address) AS text FROM audit_events
        WHERE type = 'login_failed'";
    assert_eq!(trusting.text(addresses), "2001:db8::1 203.0.113.1");
}

#[actix_web::test]
async fn a_flood_is_refused_before_any_hash_and_told_of_once() {
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
async fn whoever_has_a_thousand_addresses_fills_the_audit_log_no_faster_than_sixty_a_minute() {
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
async fn a_refusal_is_kept_counted_and_explained() {
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

#[actix_web::test]
async fn a_name_that_nobody_has_is_held_up_like_one_that_somebody_has() {
    let world = limited().await;
    world.user("alice", "member");
    let mut answers = Vec::new();
    for name in ["alice", "nobody", ""] {
        use_up(&world, ELSEWHERE, name).await;
        let answer = guess(&world, ELSEWHERE, name).await;
        held(&answer);
        answers.push((answer.text("detail"), answer.status));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[actix_web::test]
async fn a_wrong_password_within_a_session_counts_as_a_failed_sign_in() {
    let world = limited().await;
    world.user("alice", "member");
    let access = login(&world, HOME, "alice", PASSWORD).await.text("access_token");
    let step_up = |address, password| {
        let ask = ask_from(&world, address, "/api/v1/auth/step-up").bearer(&access);
        ask.json(&json!({ "password": password })).send()
    };
    let change = |password| {
        let body = json!({ "current_password": password, "new_password": "another good phrase" });
        ask_from(&world, ELSEWHERE, "/api/v1/me/password").bearer(&access).json(&body).send()
    };
    for _ in 0..3 {
        step_up(ELSEWHERE, "wrong").await.refused("validation_failed");
    }
    for _ in 0..2 {
        change("wrong").await.refused("validation_failed");
    }
    held(&step_up(ELSEWHERE, PASSWORD).await);
    held(&change(PASSWORD).await);
    let renamed = json!({ "username": "alicia", "current_password": PASSWORD });
    let ask = world.ask(Method::PATCH, "/api/v1/me").header("x-forwarded-for", ELSEWHERE);
    held(&ask.bearer(&access).json(&renamed).send().await);
    held(&guess(&world, ELSEWHERE, "alice").await);
    // The owner, from the address of their sign-in.
    assert_eq!(step_up(HOME, PASSWORD).await.status, 200);
    let worlds = [&world];
    let hashes = HashCounter::of(&worlds);
    join_all((0..40).map(|_| step_up(HOME, "wrong"))).await;
    assert_eq!(hashes.since(), 5);
}

#[actix_web::test]
async fn a_right_password_within_a_session_counts_for_nothing() {
    let world = limited().await;
    world.user("alice", "member");
    let access = login(&world, HOME, "alice", PASSWORD).await.text("access_token");
    for address in [HOME, ELSEWHERE] {
        for _ in 0..8 {
            let ask = ask_from(&world, address, "/api/v1/auth/step-up").bearer(&access);
            assert_eq!(ask.json(&json!({ "password": PASSWORD })).send().await.status, 200);
        }
    }
}

#[actix_web::test]
async fn what_was_not_tried_through_a_fault_of_ours_does_not_count() {
    let world = limited().await;
    world.user("alice", "member");
    world.sql("UPDATE users SET password_hash = 'odd' WHERE username = 'alice'");
    for _ in 0..8 {
        guess(&world, ELSEWHERE, "alice").await.refused("internal_error");
    }
}

#[actix_web::test]
async fn a_scope_that_is_refused_to_the_right_password_does_not_count() {
    let world = limited().await;
    world.user("alice", "viewer");
    for _ in 0..8 {
        let body = json!({ "username": "alice", "password": PASSWORD, "scope": "notes:write" });
        let ask = ask_from(&world, ELSEWHERE, "/api/v1/auth/login").json(&body);
        ask.send().await.refused("permission_denied");
    }
}

/// Waits until every reserved attempt is settled. Returns the counted attempts of all rows.
async fn settled_level(world: &World) -> i64 {
    for _ in 0..100 {
        if world.count("SELECT count(*) AS count FROM attempts WHERE pending > 0") == 0 {
            return world.count("SELECT coalesce(sum(level), 0)::bigint AS count FROM attempts");
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("an attempt is not settled");
}

#[actix_web::test]
async fn attempt_is_settled_if_its_event_cannot_be_written() {
    let world = limited().await;
    let access = world.signed_in("alice", "viewer").await.access;
    world.user("odd", "member");
    world.sql(
        "UPDATE users SET password_hash = 'odd' WHERE username = 'odd';
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$;
         CREATE TRIGGER fail BEFORE INSERT ON audit_events FOR EACH ROW
             WHEN (NEW.type IN ('login_succeeded', 'login_failed')) EXECUTE FUNCTION fail()",
    );
    let before = settled_level(&world).await;
    let sign_in = async |body: Value| {
        let ask = ask_from(&world, ELSEWHERE, "/api/v1/auth/login").json(&body);
        ask.send().await.refused("internal_error");
    };
    // No password was verified, or the right one.
    sign_in(json!({ "username": "odd", "password": PASSWORD })).await;
    sign_in(json!({ "username": "alice", "password": PASSWORD })).await;
    sign_in(json!({ "username": "alice", "password": PASSWORD, "scope": "notes:write" })).await;
    assert_eq!(settled_level(&world).await, before);
    guess(&world, ELSEWHERE, "alice").await.refused("internal_error");
    let guessed = settled_level(&world).await;
    assert!(guessed > before, "a wrong password counts");
    let body = json!({ "username": "alicia", "current_password": "a guess that is wrong" });
    let changed = world.ask(Method::PATCH, "/api/v1/me").bearer(&access).json(&body);
    changed.header("x-forwarded-for", ELSEWHERE).send().await.refused("internal_error");
    assert!(settled_level(&world).await > guessed, "and so does one within a session");
}

#[actix_web::test]
async fn a_try_whose_node_was_killed_holds_up_for_half_a_minute_at_most() {
    let world = limited().await;
    world.user("alice", "member");
    use_up(&world, ELSEWHERE, "alice").await;
    // As if a killed node had not reported the result of any of them.
    world.sql("UPDATE attempts SET pending = 5, next_at = now() + interval '1 minute' WHERE kind = 'name'");
    world.advance(TimeDelta::seconds(31));
    held(&guess(&world, ELSEWHERE, "alice").await);
    world.advance(TimeDelta::seconds(30));
    assert_eq!(login(&world, ELSEWHERE, "alice", PASSWORD).await.status, 200);
}

/// Creates a world with buckets of three, in which one place becomes free every twenty seconds.
async fn with_small_buckets() -> World {
    World::with(|settings| {
        behind_a_proxy(settings);
        settings.unproven_per_address = 3;
    })
    .await
}

/// Checks the answer like [`held`], but for a bucket, whose time is not stopped.
#[track_caller]
fn held_by_bucket(answer: &Answer) {
    let wait = held(answer);
    assert!((10..=20).contains(&wait), "{wait}");
}

#[actix_web::test]
async fn made_up_refresh_tokens_are_held_up_and_good_ones_from_there_are_not() {
    let world = with_small_buckets().await;
    world.user("alice", "member");
    let refresh = |token: &str| {
        let body = json!({ "refresh_token": token });
        ask_from(&world, ELSEWHERE, "/api/v1/auth/refresh").json(&body).send()
    };
    let live = Tokens::of(&login(&world, ELSEWHERE, "alice", PASSWORD).await);
    let pruned = Tokens::of(&login(&world, ELSEWHERE, "alice", PASSWORD).await);
    let altered = format!("{}{}", &live.refresh[..60], "A".repeat(live.refresh.len() - 60));
    for _ in 0..2 {
        refresh(&altered).await.refused("token_signature_invalid");
    }
    world.sql("DELETE FROM sessions WHERE id = (SELECT id FROM sessions ORDER BY id DESC LIMIT 1)");
    refresh(&pruned.refresh).await.refused("refresh_token_unknown");
    for token in [altered.as_str(), pruned.refresh.as_str(), "dwr_nonsense", "nonsense"] {
        held_by_bucket(&refresh(token).await);
    }
    let next = refresh(&live.refresh).await;
    assert_eq!(next.status, 200, "{}", next.body);
    world.advance(TimeDelta::seconds(20));
    refresh("nonsense").await.refused("token_malformed");
    held_by_bucket(&refresh("nonsense").await);
    ask_from(&world, HOME, "/api/v1/auth/refresh")
        .json(&json!({ "refresh_token": "nonsense" }))
        .send()
        .await
        .refused("token_malformed");
    assert_eq!(world.events("too_many_attempts"), 1);
}

#[actix_web::test]
async fn explanations_without_a_credential_are_held_up_by_address_and_with_one_they_are_not() {
    let world = with_small_buckets().await;
    world.user("alice", "member");
    let access = login(&world, HOME, "alice", PASSWORD).await.text("access_token");
    let body = json!({ "token": "nonsense" });
    let explain = || ask_from(&world, ELSEWHERE, "/api/v1/auth/explain").json(&body);
    for _ in 0..3 {
        assert_eq!(explain().send().await.status, 200);
    }
    held_by_bucket(&explain().send().await);
    assert_eq!(explain().bearer(&access).send().await.status, 200);
    assert_eq!(ask_from(&world, HOME, "/api/v1/auth/explain").json(&body).send().await.status, 200);
}

#[actix_web::test]
async fn guessed_links_are_held_up_by_address_on_a_page_that_says_for_how_long() {
    let world = with_small_buckets().await;
    let mut browser = Browser::new(&world);
    browser.address = Some(ELSEWHERE);
    for at in 0..3 {
        assert_eq!(browser.get(&format!("/set-password/guess-{at}")).await.status, 404);
    }
    for answer in [browser.get("/set-password/x").await, browser.post("/set-password/x", &[]).await] {
        let wait = answer.header("retry-after").unwrap_or_else(|| panic!("{}", answer.body));
        assert_eq!(answer.status, 429);
        assert!(answer.body.as_str().unwrap().contains(&format!("Try again in {wait} s")), "{}", answer.body);
    }
    browser.address = Some(HOME);
    assert_eq!(browser.get("/set-password/x").await.status, 404);
}

#[actix_web::test]
async fn registrations_are_counted_by_address_on_all_nodes_before_the_hash() {
    let open = |settings: &mut doorward::config::Settings| {
        behind_a_proxy(settings);
        settings.registration = doorward::config::Registration::Open;
    };
    let one = World::with(open).await;
    let other = one.another_node_with(open).await;
    let register = |world, address, name: String| {
        let body = json!({ "username": name, "password": PASSWORD });
        ask_from(world, address, "/api/v1/auth/register").json(&body).send()
    };
    let nodes = [&one, &other];
    let names = (0..40).map(|at| register(nodes[at % 2], ELSEWHERE, format!("user-{at}")));
    let answers = join_all(names).await;
    assert_eq!((count(&answers, 201), count(&answers, 429)), (10, 30));
    assert_eq!(one.count("SELECT count(*) FROM users WHERE username LIKE 'user-%'"), 10);
    held(&register(&one, ELSEWHERE, "admin".to_owned()).await);
    // Requests with form errors are answered without being counted.
    let wrong = json!({ "username": "a b", "password": "short" });
    let ask = ask_from(&one, ELSEWHERE, "/api/v1/auth/register").json(&wrong);
    ask.send().await.refused("validation_failed");
    assert_eq!(register(&one, HOME, "carol".to_owned()).await.status, 201);
    // A request for a taken name is also a guess.
    for _ in 0..9 {
        register(&one, HOME, "carol".to_owned()).await.refused("conflict");
    }
    held(&register(&one, HOME, "dave".to_owned()).await);

    let mut browser = Browser::new(&one);
    browser.address = Some(HOME);
    let page =
        browser.fill_in("/register", "/register", &[("username", "dave"), ("password", PASSWORD)]).await;
    assert_eq!(page.status, 429);
    let html = page.body.as_str().unwrap();
    assert!(html.contains("Too many accounts were created from your address"), "{html}");
    assert!(html.contains("value=\"dave\"") && page.header("retry-after").is_some(), "{html}");
}

#[actix_web::test]
async fn personal_tokens_are_counted_by_user() {
    let world = World::with(|settings| {
        limit_tries(settings);
        settings.tokens_per_user = 3;
    })
    .await;
    let (alice, bob) = (world.signed_in("alice", "member").await, world.signed_in("bob", "member").await);
    for _ in 0..3 {
        world.personal_token(&alice.access, "notes:read").await;
    }
    let again = json!({ "name": "one more", "scope": "notes:read" });
    let refused = world.post("/api/v1/me/tokens", &alice.access, again.clone()).await;
    assert!(held(&refused) > 1_100 && refused.text("detail").contains("in 20 min"), "{}", refused.body);
    world.personal_token(&bob.access, "notes:read").await;
    world.advance(TimeDelta::minutes(20));
    let access = Tokens::of(&world.refresh(&alice.refresh).await).access;
    let too_old = world.post("/api/v1/me/tokens", &access, again.clone()).await;
    too_old.refused("authentication_too_old");
    let access = world.login("alice").await.access;
    assert_eq!(world.post("/api/v1/me/tokens", &access, again).await.status, 201);
}

#[actix_web::test]
async fn the_pages_say_for_how_long_beside_the_form() {
    let world = World::with(limit_tries).await;
    world.stop_time();
    world.user("alice", "member");
    let mut signed_in = Browser::signed_in(&world, "alice").await;
    let mut browser = Browser::new(&world);
    for _ in 0..5 {
        assert_eq!(browser.sign_in("alice", "wrong", &[]).await.status, 401);
    }
    let refused = browser.sign_in("alice", PASSWORD, &[]).await;
    let step_up = signed_in
        .fill_in("/step-up", "/step-up", &[("step_up_password", PASSWORD), ("next", "/admin")])
        .await;
    let fields =
        [("current_password", PASSWORD), ("new_password", "another phrase"), ("again", "another phrase")];
    let password = signed_in.fill_in("/account/password", "/account/password", &fields).await;
    let fields = [("username", "alicia"), ("current_password", PASSWORD)];
    let profile = signed_in.fill_in("/account", "/account", &fields).await;
    for (answer, kept) in [
        (refused, "value=\"alice\""),
        (step_up, "/admin"),
        (password, "current_password"),
        (profile, "alicia"),
    ] {
        let html = answer.body.as_str().unwrap();
        assert_eq!(answer.status, 429, "{html}");
        assert_eq!(answer.header("retry-after"), Some("2"), "{html}");
        assert!(html.contains("Try again in") && html.contains("<form"), "{html}");
        assert!(html.contains(kept), "{html}");
    }
    world.state.recorder.kept_refusals.flush(&world.state.core.database).await.unwrap();
    let kept = "SELECT count(*) FROM refusals WHERE code = 'too_many_attempts' AND status = 429";
    assert_eq!(world.count(kept), 4);
}

#[actix_web::test]
async fn simplejwts_routes_say_it_in_its_words() {
    let world = World::with(|settings| {
        limit_tries(settings);
        settings.simplejwt_routes = doorward::config::SimplejwtRoutes::On;
    })
    .await;
    world.stop_time();
    let body = json!({ "username": "alice", "password": "wrong" });
    for _ in 0..5 {
        assert_eq!(world.ask(Method::POST, "/api/token/").json(&body).send().await.status, 401);
    }
    let refused = world.ask(Method::POST, "/api/token/").json(&body).send().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("2")));
    let said = json!({ "detail": "Request was throttled. Expected available in 2 seconds." });
    assert_eq!(refused.body, said);
}

#[actix_web::test]
async fn what_was_counted_is_pruned_and_addresses_after_their_retention() {
    use doorward::database::prune::{self, Retention};
    use std::time::Duration;
    let world = limited().await;
    world.user("alice", "member");
    for at in 0..25 {
        login(&world, &format!("192.0.2.{at}"), "alice", PASSWORD).await;
        world.advance(TimeDelta::seconds(1));
    }
    assert_eq!(world.count("SELECT count(*) FROM known_addresses"), 20, "those used longest ago made room");
    assert_eq!(world.count("SELECT count(*) FROM known_addresses WHERE network = '192.0.2.4'"), 0);
    use_up(&world, ELSEWHERE, "alice").await;
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let retention = Retention { audit_events: days(400), refusals: days(7), known_addresses: days(90) };
    assert_eq!(prune::run(&world.state.core.database, retention, |_| ()).await.unwrap().unwrap().total(), 0);
    world.advance(TimeDelta::days(3));
    // The use is recent, so it is written again.
    login(&world, "192.0.2.24", "alice", PASSWORD).await;
    let pruned = prune::run(&world.state.core.database, retention, |_| ()).await.unwrap().unwrap();
    assert!(pruned.attempts > 20 && pruned.known_addresses == 0, "{pruned:?}");
    world.advance(TimeDelta::days(88));
    let pruned = prune::run(&world.state.core.database, retention, |_| ()).await.unwrap().unwrap();
    assert_eq!(pruned.known_addresses, 19);
    world.sql("DELETE FROM users WHERE username = 'alice'");
    assert_eq!(world.count("SELECT count(*) FROM known_addresses"), 0);
}

#[actix_web::test]
async fn a_guarded_request_and_a_good_refresh_ask_the_database_nothing_more() {
    let world = limited().await;
    let tokens = world.signed_in("alice", "member").await;
    let before =
        world.text("SELECT string_agg(digest::text || level || counted_at, ' ') AS text FROM attempts");
    assert_eq!(world.get("/api/v1/me", &tokens.access).await.status, 200);
    assert_eq!(world.refresh(&tokens.refresh).await.status, 200);
    let after =
        world.text("SELECT string_agg(digest::text || level || counted_at, ' ') AS text FROM attempts");
    assert_eq!(before, after);
}

/// Runs a command while the server runs.
fn doorward(world: &World, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_doorward"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DOORWARD")) {
        command.env_remove(name);
    }
    let command = command.args(arguments).env("DATABASE_URL", &world.database.url).current_dir("/");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[actix_web::test]
async fn an_operator_sees_who_has_to_wait_and_lifts_it() {
    let world = limited().await;
    world.user("alice", "member");
    world.sql(
        "UPDATE users SET email = 'al@example.org', email_folded = 'al@example.org' WHERE username = 'alice'",
    );
    login(&world, HOME, "alice", PASSWORD).await;
    let waits_until = || -> Value {
        let shown: Value =
            serde_json::from_str(&doorward(&world, &["user", "show", "alice", "--json"])).unwrap();
        shown.get("sign_in_waits_until").cloned().unwrap_or_default()
    };
    assert_eq!(waits_until(), Value::Null);
    assert!(doorward(&world, &["user", "unlock", "alice"]).contains("has no failed attempts"));
    for (address, name) in [(ELSEWHERE, "alice"), (ELSEWHERE, "al@example.org"), (HOME, "alice")] {
        use_up(&world, address, name).await;
        held(&guess(&world, address, name).await);
        assert!(waits_until().is_string(), "{name} from {address}");
        let said = doorward(&world, &["user", "show", "alice"]);
        assert!(said.contains("the next sign-in is possible at"), "{said}");
        assert!(doorward(&world, &["user", "unlock", "AL@example.org"]).contains("does not have to wait"));
        assert_eq!(waits_until(), Value::Null);
        // A node caches the database's answer for at most a second.
        let started = std::time::Instant::now();
        while guess(&world, address, name).await.status == 429 {
            assert!(started.elapsed().as_millis() < 1_100, "{name} from {address}");
        }
        world.advance(TimeDelta::hours(2));
    }
    assert_eq!(world.events("user_unlocked"), 3);
}

#[actix_web::test]
async fn a_genuine_refresh_token_is_no_guess_however_often_it_is_refused() {
    let world = World::with(|settings| settings.unproven_per_address = 3).await;
    let tokens = world.signed_in("alice", "member").await;
    let wider = json!({"refresh_token": tokens.refresh, "scope": "users:write"});
    for _ in 0..5 {
        let asked = world.ask(Method::POST, "/api/v1/auth/refresh").json(&wider);
        asked.send().await.refused("insufficient_scope");
    }
    world.post("/api/v1/auth/logout", &tokens.access, json!({})).await;
    for _ in 0..5 {
        world.refresh(&tokens.refresh).await.refused("session_ended");
    }
}

#[actix_web::test]
async fn who_shares_an_address_with_a_user_holds_him_up_there_and_nowhere_else() {
    let world = limited().await;
    world.user("alice", "member");
    let at_work = "192.0.2.11";
    for address in [HOME, at_work] {
        assert_eq!(login(&world, address, "alice", PASSWORD).await.status, 200);
    }
    use_up(&world, HOME, "alice").await;
    held(&login(&world, HOME, "alice", PASSWORD).await);
    assert_eq!(login(&world, at_work, "alice", PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn behind_a_proxy_that_nobody_named_all_share_one_address() {
    let world = World::with(limit_tries).await;
    world.stop_time();
    world.user("alice", "member");
    assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
    use_up(&world, ELSEWHERE, "alice").await;
    held(&login(&world, HOME, "alice", PASSWORD).await);
}
