//! Explanations of every kind of token and of requests. Each caller sees only what they may know. Also tests
//! which refusals are kept for explanations.

mod history;
mod kept_refusals;
mod requests;
mod tokens;

use doorward_test::{Answer, World};
use reqwest::Method;
use serde_json::{Value, json};

/// Asks the API for an explanation, as this caller or anonymously.
async fn explain(world: &World, caller: Option<&str>, question: Value) -> Answer {
    let ask = world.ask(Method::POST, "/api/v1/auth/explain").json(&question);
    let answer = match caller {
        Some(token) => ask.bearer(token).send().await,
        None => ask.send().await,
    };
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer
}

async fn explained(world: &World, caller: Option<&str>, token: &str) -> Value {
    let answer = explain(world, caller, json!({ "token": token })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn line<'a>(explanation: &'a Value, check: &str) -> &'a Value {
    let lines = explanation["checks"].as_array().unwrap();
    lines.iter().find(|line| line["check"] == check).unwrap()
}
