//! An IPv6 address counts at three prefix lengths, because a subscriber has many of the longest.

use doorward_test::{Answer, PASSWORD, World};
use futures_util::StreamExt;
use futures_util::stream;
use reqwest::Method;
use serde_json::json;

use crate::operations::throttle::{behind_a_proxy, count, guess, held, login};

async fn with(change: impl FnOnce(&mut doorward::config::Settings)) -> World {
    let world = World::with(|settings| {
        behind_a_proxy(settings);
        change(settings);
    })
    .await;
    world.stop_time();
    world
}

/// Sends a wrong password from each of these addresses, each for another name.
async fn guess_from(world: &World, addresses: impl Iterator<Item = String>) -> Vec<Answer> {
    let guesses = addresses
        .enumerate()
        .map(|(at, address)| async move { guess(world, &address, &format!("name-{at}")).await });
    stream::iter(guesses).buffered(1).collect().await
}

#[actix_web::test]
async fn guesses_are_limited_per_56_and_48_bit_network() {
    let world = with(|_| {}).await;
    let of_home = guess_from(&world, (0..120).map(|at| format!("2001:db8:1:{at:x}::1"))).await;
    assert_eq!((count(&of_home, 401), count(&of_home, 429)), (75, 45), "of a /56");
    let of_site = guess_from(&world, (1..120).map(|at| format!("2001:db8:1:{at:x}00::1"))).await;
    assert_eq!((count(&of_site, 401), count(&of_site, 429)), (25, 94), "of the /48");
    let refused = guess(&world, "2001:db8:1:ffff::1", "another").await;
    held(&refused);
    assert!(refused.text("detail").contains("from your network"), "{}", refused.body);
    guess(&world, "2001:db8:2:ffff::1", "another").await.refused("invalid_credentials");
}

#[actix_web::test]
async fn one_48_bit_network_does_not_exhaust_the_global_limit() {
    let world = with(|settings| settings.login_failures_in_all = 200).await;
    world.user("alice", "member");
    let answers = guess_from(&world, (0..250).map(|at| format!("2001:db8:1:{at:x}00::1"))).await;
    assert_eq!(count(&answers, 401), 50);
    for address in ["192.0.2.1", "2001:db8:2::1"] {
        assert_eq!(login(&world, address, "alice", PASSWORD).await.status, 200);
    }
}

#[actix_web::test]
async fn registrations_are_limited_at_every_width() {
    let world = with(|settings| settings.registration = doorward::config::Registration::Open).await;
    let register = async |address: String, name: String| {
        let body = json!({ "username": name, "password": PASSWORD });
        let ask = world.ask(Method::POST, "/api/v1/auth/register").header("x-forwarded-for", address);
        ask.json(&body).send().await
    };
    let mut of_home = Vec::new();
    for at in 0..20 {
        of_home.push(register(format!("2001:db8:1:{at:x}::1"), format!("home-{at}")).await);
    }
    assert_eq!((count(&of_home, 201), count(&of_home, 429)), (15, 5));
    let mut of_site = Vec::new();
    for at in 1..20 {
        of_site.push(register(format!("2001:db8:1:{at:x}00::1"), format!("site-{at}")).await);
    }
    assert_eq!((count(&of_site, 201), count(&of_site, 429)), (5, 14));
    assert_eq!(register("2001:db8:2::1".to_owned(), "other".to_owned()).await.status, 201);
}

#[actix_web::test]
async fn unverified_requests_are_limited_at_every_width() {
    let world = with(|settings| settings.unproven_per_address = 4).await;
    let mut answers = Vec::new();
    for at in 0..10 {
        let address = format!("2001:db8:1:{at:x}00::1");
        let ask = world.ask(Method::POST, "/api/v1/auth/refresh").header("x-forwarded-for", address);
        answers.push(ask.json(&json!({ "refresh_token": "nonsense" })).send().await);
    }
    assert_eq!((count(&answers, 401), count(&answers, 429)), (8, 2));
}

#[actix_web::test]
async fn spraying_is_limited_at_every_width() {
    let world = with(|settings| settings.login_failures_per_known_address = 4).await;
    let address = |at: usize| format!("2001:db8:1:{at:x}::1");
    for at in 0..8 {
        let name = format!("clerk-{at}");
        world.user(&name, "member");
        assert_eq!(login(&world, &address(at), &name, PASSWORD).await.status, 200);
    }
    for at in 0..6 {
        guess(&world, &address(at), &format!("clerk-{at}")).await.refused("invalid_credentials");
    }
    guess(&world, &address(6), "clerk-6").await.refused("invalid_credentials");
    assert_eq!(held(&guess(&world, &address(6), "clerk-6").await), 2);
    assert_eq!(login(&world, &address(7), "clerk-7", PASSWORD).await.status, 200);
    let network = "SELECT details->>'network' AS text FROM audit_events WHERE details->>'by' = 'spray'";
    assert_eq!(world.text(network), "2001:db8:1::/56");
}
