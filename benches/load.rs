//! The load of `make bench`. It is small, keeps state only where needed, and is not part of the released
//! binary. `benches/run` runs it and compares each figure with its limit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]
#![allow(missing_docs)]

#[path = "load/bare.rs"]
mod bare;
#[path = "load/client.rs"]
mod client;
#[path = "load/fair.rs"]
mod fair;
#[path = "load/hold.rs"]
mod hold;
#[path = "load/measure.rs"]
mod measure;
#[path = "load/readers.rs"]
mod readers;
#[path = "load/timing.rs"]
mod timing;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use doorward::database::Database;
use doorward::sessions::rotate::STATEMENT;
use doorward::users::password::{PasswordHash, PlainPassword};
use serde_json::{Value, json};

use bare::Connections;
use client::{Connection, request};
use measure::{Figures, Rounds, Task, measure};

/// The default number of connections.
const CONNECTIONS: usize = 16;
/// The number of connections of a flood.
const FLOOD: usize = 64;

const USAGE: &str = "load statement | raw-bcrypt COST SECONDS
     | refresh | login | me | forged | revoked | note | flood ADDRESS PASSWORD SECONDS
     | paced ADDRESS PASSWORD SECONDS | hold ADDRESS IDLE SLOW | timing ADDRESS PASSWORD TRIES
     | readers ADDRESS PROCESS | sign-ins | searches ADDRESS PASSWORD SECONDS
     | size-of-me ADDRESS PASSWORD | bare-me BYTES SECONDS | bare-note | pooled-note | bare-refresh DATABASE CONNECTIONS SECONDS";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["statement"] => println!("{}", pgbench_script()),
        ["raw-bcrypt", cost, seconds] => println!("{}", raw_bcrypt(number(cost), time(seconds))),
        [kind, rest @ ..] => actix_web::rt::System::new().block_on(run(kind, rest)),
        _ => println!("{USAGE}"),
    }
}

async fn run(kind: &str, rest: &[&str]) {
    let figures = match (kind, rest) {
        ("bare-me", [bytes, seconds]) => bare::me(number(bytes) as usize, time(seconds)).await,
        ("bare-note", [url, connections, seconds]) => {
            bare::note(Connections::plain(url, number(connections)), time(seconds)).await
        }
        ("pooled-note", [url, connections, seconds]) => {
            bare::note(Connections::Own(Database::new(url, number(connections))), time(seconds)).await
        }
        ("bare-refresh", [url, connections, seconds]) => {
            bare::refresh(Connections::plain(url, number(connections)), time(seconds)).await
        }
        ("size-of-me", [address, password]) => {
            let target = Target::new(address, password, "0");
            let answer = target.me(&target.access_token().await).await;
            return println!("{}", answer.1.len());
        }
        ("hold", [address, idle, slow]) => {
            return hold::hold(address, number(idle) as usize, number(slow) as usize).await;
        }
        ("readers", [address, process]) => {
            return readers::measure(address, number(process)).await;
        }
        ("timing", [address, password, tries]) => {
            return timing::measure(&Target::new(address, password, "0"), number(tries)).await;
        }
        (_, [address, password, seconds]) => {
            let target = Target::new(address, password, seconds);
            match kind {
                "refresh" => refresh(&target).await,
                "login" => login(&target, CONNECTIONS / 4).await,
                "me" => me(&target).await,
                "forged" => forged(&target).await,
                "revoked" => revoked(&target).await,
                "note" => note(&target).await,
                "paced" => paced(&target, &target.access_token().await, Vec::new()).await,
                "flood" => return flood(&target).await,
                "sign-ins" => return fair::sign_ins(&target).await,
                "searches" => return fair::searches(&target).await,
                _ => panic!("{USAGE}"),
            }
        }
        _ => panic!("{USAGE}"),
    };
    println!("{figures}");
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}

fn time(seconds: &str) -> Duration {
    Duration::from_secs(number(seconds).into())
}

/// A doorward server, and how long to load it.
struct Target {
    address: String,
    password: String,
    time: Duration,
}

impl Target {
    fn new(address: &str, password: &str, seconds: &str) -> Self {
        Self { address: address.to_owned(), password: password.to_owned(), time: time(seconds) }
    }

    async fn access_token(&self) -> String {
        text(&Connection::open(&self.address).await.login(&self.password).await, "access_token")
    }

    async fn me(&self, token: &str) -> (u16, Vec<u8>) {
        Connection::open(&self.address).await.ask("GET", "/api/v1/me", token, "").await
    }
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
}

/// Sends the same request repeatedly on every connection.
async fn ask_for(address: &str, request: Vec<u8>, status: u16, time: Duration) -> Figures {
    ask_each(vec![request; CONNECTIONS], address, status, time).await
}

/// Sends one of the requests repeatedly on each connection.
async fn ask_each(requests: Vec<Vec<u8>>, address: &str, status: u16, time: Duration) -> Figures {
    let mut ready = Vec::new();
    for request in requests {
        ready.push((Connection::open(address).await, request));
    }
    measure(time, |rounds| {
        ready.into_iter().map(|(own, request)| asking(own, request, status, rounds)).collect()
    })
    .await
}

fn asking(mut connection: Connection, request: Vec<u8>, status: u16, rounds: &Rounds) -> Task {
    let rounds = rounds.clone();
    Box::pin(async move {
        while rounds.go_on() {
            let started = Instant::now();
            let (found, body) = connection.send(&request).await;
            assert_eq!(found, status, "{}", String::from_utf8_lossy(&body));
            rounds.note(started);
        }
    })
}

/// Refreshes a different session on each connection, each time with the token from the last response.
async fn refresh(target: &Target) -> Figures {
    let mut chains = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(&target.address).await;
        let live = text(&connection.login(&target.password).await, "refresh_token");
        chains.push((connection, live));
    }
    let task = |(mut connection, mut live): (Connection, String), rounds: Rounds| -> Task {
        Box::pin(async move {
            while rounds.go_on() {
                let started = Instant::now();
                let body = json!({ "refresh_token": live });
                live = text(
                    &connection.ask_json("POST", "/api/v1/auth/refresh", "", &body).await,
                    "refresh_token",
                );
                rounds.note(started);
            }
        })
    };
    measure(target.time, |rounds| chains.into_iter().map(|chain| task(chain, rounds.clone())).collect()).await
}

async fn login(target: &Target, connections: usize) -> Figures {
    let task = |rounds: Rounds| -> Task {
        let (address, password) = (target.address.clone(), target.password.clone());
        Box::pin(async move {
            let mut connection = Connection::open(&address).await;
            while rounds.go_on() {
                let started = Instant::now();
                connection.login(&password).await;
                rounds.note(started);
            }
        })
    };
    measure(target.time, |rounds| (0..connections).map(|_| task(rounds.clone())).collect()).await
}

/// Hashes on as many threads as there are cores.
fn raw_bcrypt(cost: u32, time: Duration) -> Figures {
    let started = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let done: u32 = std::thread::scope(|scope| {
        let hash = || {
            let (password, mut done) = (PlainPassword::new("an unusual pass phrase"), 0);
            while started.elapsed() < time {
                std::hint::black_box(PasswordHash::new(&password, cost).expect("a hash"));
                done += 1;
            }
            done
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(hash)).collect();
        running.into_iter().map(|thread| thread.join().expect("a thread")).sum()
    });
    Figures::of_rate(f64::from(done) / started.elapsed().as_secs_f64())
}

/// Sends guarded requests that need no data of their own.
async fn me(target: &Target) -> Figures {
    let token = target.access_token().await;
    ask_for(&target.address, request("GET", "/api/v1/me", &token, ""), 200, target.time).await
}

/// Sends the requests with another character in the middle of the token's signature.
async fn forged(target: &Target) -> Figures {
    let mut token = target.access_token().await.into_bytes();
    let at = token.len() - 20;
    token[at] = if token[at] == b'A' { b'B' } else { b'A' };
    let token = String::from_utf8(token).expect("ASCII");
    ask_for(&target.address, request("GET", "/api/v1/me", &token, ""), 401, target.time).await
}

/// Sends the requests after a sign-out.
async fn revoked(target: &Target) -> Figures {
    let token = target.access_token().await;
    let mut connection = Connection::open(&target.address).await;
    assert_eq!(connection.ask("POST", "/api/v1/auth/logout", &token, "").await.0, 204);
    ask_for(&target.address, request("GET", "/api/v1/me", &token, ""), 401, target.time).await
}

async fn note(target: &Target) -> Figures {
    let token = target.access_token().await;
    let note =
        json!({ "title": "a note", "body": "of an ordinary size, as notes are: a line or two of text" });
    let mut connection = Connection::open(&target.address).await;
    let made = connection.ask_json("POST", "/api/v1/notes", &token, &note).await;
    let path = format!("/api/v1/notes/{}", text(&made, "id"));
    ask_for(&target.address, request("GET", &path, &token, ""), 200, target.time).await
}

/// Makes guarded reads at a moderate rate, first alone, and then beside a flood of sign-ins. Prints how the
/// flood was answered.
async fn flood(target: &Target) {
    let token = target.access_token().await;
    let idle = paced(target, &token, Vec::new()).await;
    let answers = std::rc::Rc::new(std::cell::RefCell::new(BTreeMap::<u16, u32>::new()));
    let until = Instant::now() + target.time;
    let flooding: Vec<Task> = (0..FLOOD)
        .map(|_| -> Task {
            let (address, answers) = (target.address.clone(), answers.clone());
            let body = json!({ "username": "admin", "password": "not the password" }).to_string();
            Box::pin(async move {
                let mut connection = Connection::open(&address).await;
                while Instant::now() < until {
                    let (status, _) = connection.ask("POST", "/api/v1/auth/login", "", &body).await;
                    *answers.borrow_mut().entry(status).or_default() += 1;
                    if status >= 429 {
                        // Even a flooding client waits a little after `Retry-After`.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            })
        })
        .collect();
    let flooded = paced(target, &token, flooding).await;
    println!("{idle}\n{flooded}\n{:?}", answers.borrow());
}

/// Makes 500 guarded reads a second.
async fn paced(target: &Target, token: &str, beside: Vec<Task>) -> Figures {
    let beside: Vec<_> = beside.into_iter().map(actix_web::rt::spawn).collect();
    let request = request("GET", "/api/v1/me", token, "");
    let mut connections = Vec::new();
    for _ in 0..10 {
        connections.push(Connection::open(&target.address).await);
    }
    let task = |mut connection: Connection, rounds: Rounds| -> Task {
        let request = request.clone();
        Box::pin(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            while rounds.go_on() {
                // The time counts from when the request was due, so a wait for the previous one counts too.
                let due = pace.tick().await;
                let (status, _) = connection.send(&request).await;
                assert_eq!(status, 200);
                rounds.note(due.into_std());
            }
        })
    };
    let figures = measure(target.time, |rounds| {
        connections.into_iter().map(|connection| task(connection, rounds.clone())).collect()
    });
    let figures = figures.await;
    for task in beside {
        task.await.expect("a task");
    }
    figures
}

/// Returns the statement of a refresh as a pgbench script, in which each client has its own session.
fn pgbench_script() -> String {
    let given = "WITH given AS MATERIALIZED (SELECT \
        ('00000000-0000-7000-8000-' || lpad(:client_id::text, 12, '0'))::uuid AS session_id, \
        decode(repeat('00', 32), 'hex') AS secret_digest, :live_generation::int AS generation, NULL::text[] AS scope, true AS spends, \
        interval '10 seconds' AS grace, interval '30 days' AS refresh_ttl, gen_random_uuid() AS event_id, \
        '127.0.0.1'::text AS address, gen_random_uuid() AS request_id, '{}'::jsonb AS doubt), ";
    let statement: Vec<&str> = STATEMENT.lines().map(str::trim).collect();
    // Only the value that the next round needs is kept.
    format!("{given}{} \\gset live_", statement.join(" "))
}
