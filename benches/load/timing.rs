//! Measures how long refused sign-ins take, by the reason of the refusal. Each name is tried once, as by
//! someone who searches for valid names.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::Target;
use crate::client::Connection;

/// The reasons of refusals.
const KINDS: [&str; 4] = ["unknown", "wrong", "disabled", "passwordless"];

/// Prints `kind milliseconds` for this many sign-ins of each kind, in turn, each with another name.
pub async fn measure(target: &Target, tries: u32) {
    let mut connection = Connection::open(&target.address).await;
    let token = target.access_token().await;
    for number in 0..tries {
        for kind in KINDS {
            make(&mut connection, &token, kind, number).await;
        }
    }
    for number in 0..tries {
        for turn in 0..KINDS.len() {
            // The order varies, so that no kind always follows the same other kind.
            let kind = KINDS[(turn * (1 + 2 * (number as usize / 4 % 2)) + number as usize) % KINDS.len()];
            let body = json!({ "username": name(kind, number), "password": "not the password" }).to_string();
            let started = Instant::now();
            let (status, answer) = connection.ask("POST", "/api/v1/auth/login", "", &body).await;
            let taken = started.elapsed();
            assert_eq!(status, 401, "{}", String::from_utf8_lossy(&answer));
            println!("{kind} {:.4}", taken.as_secs_f64() * 1e3);
            // The work that a response leaves behind must not affect the next one.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn name(kind: &str, number: u32) -> String {
    format!("{kind:-<12}{number:04}")
}

async fn make(connection: &mut Connection, token: &str, kind: &str, number: u32) {
    let mut new = json!({ "username": name(kind, number) });
    match kind {
        "unknown" => return,
        "passwordless" => {}
        _ => new["password"] = json!("an unusual pass phrase"),
    }
    let made = connection.ask_json("POST", "/api/v1/users", token, &new).await;
    if kind == "disabled" {
        let path = format!("/api/v1/users/{}", crate::text(&made, "id"));
        connection.ask_json("PATCH", &path, token, &json!({ "status": "disabled" })).await;
    }
}
