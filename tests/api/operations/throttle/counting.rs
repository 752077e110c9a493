//! Attempts are counted before they are made, by account, by client address and over all.

use chrono::TimeDelta;
use doorward_test::{PASSWORD, World, limit_tries};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::{
    ELSEWHERE, HOME, HashCounter, ask_from, behind_a_proxy, count, guess, held, limited, login, use_up,
};

#[actix_web::test]
async fn five_of_forty_simultaneous_wrong_passwords_are_hashed() {
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
async fn two_nodes_together_hash_five_of_forty_wrong_passwords() {
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
async fn forty_simultaneous_correct_passwords_at_one_address_succeed() {
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
async fn successful_sign_in_resets_only_its_own_counter() {
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
async fn address_limit_throttles_every_name_except_known_accounts() {
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
async fn global_limit_throttles_only_new_addresses() {
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
async fn ipv6_network_of_64_bits_counts_as_one_address() {
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
async fn forwarded_addresses_are_accepted_from_trusted_proxies_only() {
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
async fn unknown_name_is_throttled_like_a_known_one() {
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
async fn wrong_password_within_a_session_counts_as_a_failed_sign_in() {
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
async fn correct_password_within_a_session_is_not_counted() {
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
async fn attempt_that_ends_in_a_server_error_is_not_counted() {
    let world = limited().await;
    world.user("alice", "member");
    world.sql("UPDATE users SET password_hash = 'odd' WHERE username = 'alice'");
    for _ in 0..8 {
        guess(&world, ELSEWHERE, "alice").await.refused("internal_error");
    }
}

#[actix_web::test]
async fn refused_scope_with_the_correct_password_is_not_counted() {
    let world = limited().await;
    world.user("alice", "viewer");
    for _ in 0..8 {
        let body = json!({ "username": "alice", "password": PASSWORD, "scope": "notes:write" });
        let ask = ask_from(&world, ELSEWHERE, "/api/v1/auth/login").json(&body);
        ask.send().await.refused("permission_denied");
    }
}

#[actix_web::test]
async fn prune_deletes_counters_and_expired_known_addresses() {
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
    world.sql_and_clear_cache("DELETE FROM users WHERE username = 'alice'");
    assert_eq!(world.count("SELECT count(*) FROM known_addresses"), 0);
}

#[actix_web::test]
async fn untrusted_proxy_makes_all_clients_share_one_address() {
    let world = World::with(limit_tries).await;
    world.stop_time();
    world.user("alice", "member");
    assert_eq!(login(&world, HOME, "alice", PASSWORD).await.status, 200);
    use_up(&world, ELSEWHERE, "alice").await;
    held(&login(&world, HOME, "alice", PASSWORD).await);
}
