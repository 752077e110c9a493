//! Attempts to guess a password or a token, or to cause cost, are counted before they are made. Tests whom
//! the limits throttle, for how long, and whom they do not.

mod attempt_budget;
mod audit;
mod buckets;
mod counting;
mod ipv6;
mod known_addresses;
mod spraying;
mod waiting;

use std::sync::atomic::{AtomicU64, Ordering};

use doorward_test::{Answer, Ask, World, limit_tries};
use reqwest::Method;
use serde_json::json;

/// An address that no one has signed in from.
pub const ELSEWHERE: &str = "198.51.100.66";
/// An address that users have signed in from.
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

/// Checks that the response is a complete 429, and returns its wait in seconds.
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
