//! How long a sign-in takes that is refused, by why it is: one try at a name, as who looks for names makes them.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::Target;
use crate::client::Connection;

/// Why a sign-in is refused.
const KINDS: [&str; 4] = ["unknown", "wrong", "disabled", "passwordless"];

/// Prints `kind milliseconds` for so many tries of each kind, in turn, each at a name of its own.
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
            // None is always the one after the same other.
            let kind = KINDS[(turn * (1 + 2 * (number as usize / 4 % 2)) + number as usize) % KINDS.len()];
            let body = json!({ "username": name(kind, number), "password": "not the password" }).to_string();
            let begun = Instant::now();
            let (status, answer) = connection.ask("POST", "/api/v1/auth/login", "", &body).await;
            let taken = begun.elapsed();
            assert_eq!(status, 401, "{}", String::from_utf8_lossy(&answer));
            println!("{kind} {:.4}", taken.as_secs_f64() * 1e3);
            // What an answer leaves to be done is not the next one's.
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
