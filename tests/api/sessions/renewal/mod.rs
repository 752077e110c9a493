//! A session's secret changes with its power, so that an earlier copy gains nothing. A lost response signs no
//! one out.

mod cookies;
mod former;
mod tokens;

use chrono::TimeDelta;
use doorward_test::{Answer, Browser, PASSWORD, Tokens, World};
use reqwest::Method;
use serde_json::json;

/// A time longer than the age that a sign-in may have for operations that grant power.
const OLD: TimeDelta = TimeDelta::minutes(20);

/// A time longer than the grace period.
const LATER: TimeDelta = TimeDelta::minutes(1);
const NEW: &str = "another unusual pass phrase";
const SUPERSEDED: &str = "SELECT count(*) FROM former_secrets WHERE superseded_at IS NOT NULL";

async fn me(browser: &Browser<'_>) -> Answer {
    browser.ask(Method::GET, "/api/v1/me").send().await
}

/// Sends an unsafe request as a script on one of doorward's pages.
async fn send(browser: &Browser<'_>, csrf: &str, path: &str, body: serde_json::Value) -> Answer {
    let ask = browser.ask(Method::POST, path).header("sec-fetch-site", "same-origin");
    ask.header("x-csrf-token", csrf).json(&body).send().await
}

async fn csrf(browser: &Browser<'_>) -> String {
    me(browser).await.body["credential"]["csrf_token"].as_str().expect("a token").to_owned()
}

fn auth_time(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["credential"]["auth_time"].as_str().expect("a time").to_owned()
}

async fn step_up_on_page(browser: &mut Browser<'_>) -> Answer {
    let answer = browser.fill_in("/step-up", "/step-up", &[("step_up_password", PASSWORD)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer
}

async fn step_up(world: &World, access: &str) -> Answer {
    let answer = world.post("/api/v1/auth/step-up", access, json!({ "password": PASSWORD })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

/// Returns a session's tokens. Its sign-in is old, but its access token is not.
async fn old_session(world: &World, name: &str) -> Tokens {
    let tokens = world.login(name).await;
    world.advance(OLD);
    Tokens::of(&world.refresh(&tokens.refresh).await)
}
