//! The load through the balancer, and its ledger, which counts the responses of each kind.

use std::collections::BTreeMap;
use std::io::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doorward_test::client::{Client, name_of};
use doorward_test::wire::Answer;
use serde_json::{Value, json};

/// The number of concurrent clients. Each has one session and one request at a time.
pub const CLIENTS: usize = 12;
/// The number of reads between two refreshes.
const READS: usize = 4;
/// A client's pause after each response. The load only keeps everything busy and is not measured itself.
const PAUSE: Duration = Duration::from_millis(20);
/// The balancer's own responses when a node does not answer.
pub const FROM_BALANCER: [&str; 3] = ["502 of the balancer", "504 of the balancer", "hung up"];
pub const UNAVAILABLE: [&str; 2] = ["503 database_unavailable", "503 overloaded"];

#[derive(Default)]
pub struct Counts {
    pub answers: BTreeMap<String, u64>,
    /// The start times of the requests that were not answered with 200.
    pub failures: Vec<Instant>,
}

/// The ledger. Clones share it.
#[derive(Clone, Default)]
pub struct Ledger {
    counts: Arc<Mutex<Counts>>,
    stop: Arc<AtomicBool>,
}

impl Ledger {
    fn note(&self, began: Instant, answer: &Result<Answer, Error>) {
        let name = name_of(answer);
        let mut counts = self.counts.lock().unwrap();
        if name != "200" {
            counts.failures.push(began);
        }
        *counts.answers.entry(name).or_default() += 1;
    }

    pub fn take(&self) -> Counts {
        std::mem::take(&mut *self.counts.lock().unwrap())
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

/// Runs a client of the load. It refreshes its session, reads with the new access token, and repeats every
/// request that was not answered with 200. A refusal ends the drill, because no one may be signed out.
pub async fn run(ledger: Ledger, balancer: String, credentials: Value) -> Result<(), String> {
    let mut client = Client::new(&balancer);
    let tokens = ask(&ledger, &mut client, "POST", "/api/v1/auth/login", "", &credentials).await?;
    let mut access = text(&tokens, "access_token");
    let mut live = text(&tokens, "refresh_token");
    let note = json!({ "title": "a note", "body": "of an ordinary size, as notes are" });
    let made = ask(&ledger, &mut client, "POST", "/api/v1/notes", &access, &note).await?;
    let path = format!("/api/v1/notes/{}", text(&made, "id"));
    while ledger.goes_on() {
        for read in 0..READS {
            let path = if read % 2 == 0 { &path } else { "/api/v1/me" };
            ask(&ledger, &mut client, "GET", path, &access, &Value::Null).await?;
            tokio::time::sleep(PAUSE).await;
        }
        let body = json!({ "refresh_token": live });
        let tokens = ask(&ledger, &mut client, "POST", "/api/v1/auth/refresh", "", &body).await?;
        (access, live) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

/// Repeats a request until the response is 200. A response that blames the client is a broken promise.
async fn ask(
    ledger: &Ledger,
    client: &mut Client,
    method: &str,
    path: &str,
    token: &str,
    body: &Value,
) -> Result<Value, String> {
    loop {
        let began = Instant::now();
        let answer = client.ask(method, path, token, body).await;
        ledger.note(began, &answer);
        match answer {
            Ok(answer) if answer.status < 300 => return Ok(answer.json()),
            Ok(answer) if answer.status < 500 => {
                let found = String::from_utf8_lossy(answer.body()).into_owned();
                return Err(format!("{method} {path}: {} {found}", answer.status));
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}
