//! Measures costs as the database grows. It fills a database and measures on it. `benches/data` runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods
)]
#![allow(missing_docs)]

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chart::Line;
use diesel::Connection as _;
use diesel::prelude::{QueryableByName, RunQueryDsl};
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Uuid as SqlUuid};
use diesel::{PgConnection, sql_query};
use doorward::secret_key::SecretKeys;
use doorward::sessions::refresh_token;
use doorward_test::wire::{Answer, Connection};
use fill::{SESSIONS, secret};
use serde_json::{Value, json};
use uuid::Uuid;

#[path = "driver/chart.rs"]
mod chart;
#[path = "driver/fill.rs"]
mod fill;

/// The load has few connections, because the duration of a single response is measured.
const CONNECTIONS: usize = 4;
/// The number of sessions that the load refreshes.
const REFRESHED: u64 = 20_000;
/// The number of sessions that the load also reads with.
const READING: usize = 2_000;
/// The number of measurements of the load. The median counts.
const SLICES: usize = 3;
/// The number of measurements of a start. The median counts.
const STARTS: usize = 5;
/// The number of concurrent sign-outs.
const ENDING: usize = 16;
/// The number of sessions that are created for the sign-outs.
const TO_END: u64 = 60_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["fill", url, users, sessions, notes] => {
            fill::fill(url, number(users), number(sessions), number(notes));
        }
        ["measure", address, url, seconds] => block_on(measure(address, url, number(seconds))),
        ["memory", address, url, pid, count] => block_on(memory(address, url, pid, number(count))),
        ["ends", address, url, seconds] => block_on(ends(address, url, number(seconds))),
        ["start", binary, address] => block_on(start(binary, address)),
        ["draw", figures] => draw(figures),
        _ => println!(
            "size fill URL USERS SESSIONS NOTES | measure|ends ADDRESS URL SECONDS | memory ADDRESS URL PID COUNT | \
             start BINARY ADDRESS | draw FIGURES"
        ),
    }
}

fn block_on(work: impl Future<Output = ()>) {
    actix_web::rt::System::new().block_on(work);
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).expect("the database")
}

/// A session's credentials, as the load presents them.
#[derive(Clone)]
struct PresentedSession {
    refresh: String,
    access: String,
    note: Option<Uuid>,
}

#[derive(QueryableByName)]
struct StoredSession {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Integer)]
    generation: i32,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    note: Option<Uuid>,
}

/// Returns up to `count` of the generated sessions, spread over all of them, in no particular order.
fn some_sessions(connection: &mut PgConnection, count: u64) -> Vec<PresentedSession> {
    let all = SESSIONS.count(connection);
    let count = count.min(all);
    // The step is odd and the size is a power of two, so every number occurs once.
    let size = all.next_power_of_two();
    let scattered = (0..size).map(|at| (at * 0x9e37_79b1 + 12_345) % size).filter(|number| *number < all);
    let ids: Vec<Uuid> = scattered.take(count as usize).map(|number| SESSIONS.id(number)).collect();
    let found: Vec<StoredSession> = sql_query(
        "SELECT t.session_id AS id, t.generation, (SELECT n.id FROM notes AS n WHERE n.owner_id = s.user_id LIMIT 1) AS note
         FROM unnest($1) WITH ORDINALITY AS wanted (id, place)
             JOIN refresh_tokens AS t ON t.session_id = wanted.id JOIN sessions AS s ON s.id = t.session_id
         WHERE t.ended_at IS NULL ORDER BY wanted.place",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .load(connection)
    .expect("sessions");
    let keys = secret_keys();
    let hold = |stored: StoredSession| {
        let secret = secret(SESSIONS.number(stored.id));
        let refresh = refresh_token::issue(&keys, stored.id, secret, stored.generation).expose().to_owned();
        PresentedSession { refresh, access: String::new(), note: stored.note }
    };
    found.into_iter().map(hold).collect()
}

fn secret_keys() -> SecretKeys {
    let text = std::env::var("DOORWARD_SECRET_KEY").expect("DOORWARD_SECRET_KEY");
    SecretKeys::derive(text.split(',')).expect("a key")
}

async fn refresh(connection: &mut Connection, held: &mut PresentedSession) {
    let body = json!({ "refresh_token": held.refresh }).to_string();
    let answer = connection.ask("POST", "/api/v1/auth/refresh", "", &body).await.expect("an answer");
    let tokens = right(&answer);
    let text = |member: &str| tokens[member].as_str().expect("a token").to_owned();
    (held.refresh, held.access) = (text("refresh_token"), text("access_token"));
}

async fn get(connection: &mut Connection, path: &str, token: &str) {
    right(&connection.ask("GET", path, token, "").await.expect("an answer"));
}

fn right(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body()));
    answer.json()
}

/// Splits the work among the connections. Returns the result of each share.
async fn on_connections<T, W>(
    address: &str,
    shares: Vec<T>,
    work: impl Fn(Connection, T) -> W,
) -> Vec<W::Output>
where
    W: Future + 'static,
    W::Output: 'static,
{
    let mut running = Vec::new();
    for share in shares {
        let connection = Connection::open(address).await.expect("the server");
        running.push(actix_web::rt::spawn(work(connection, share)));
    }
    let mut made = Vec::new();
    for task in running {
        made.push(task.await.expect("a connection"));
    }
    made
}

fn shares(held: Vec<PresentedSession>) -> Vec<Vec<PresentedSession>> {
    let mut shares = vec![Vec::new(); CONNECTIONS];
    held.into_iter().enumerate().for_each(|(at, held)| shares[at % CONNECTIONS].push(held));
    shares
}

/// Returns the 50th and the 99th percentile in milliseconds.
fn percentiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let at =
        |share: f64| times[((times.len() as f64 * share) as usize).min(times.len() - 1)].as_secs_f64() * 1e3;
    (at(0.5), at(0.99))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Prints the 50th and 99th percentiles of a refresh and of a read, in milliseconds.
async fn measure(address: &str, url: &str, seconds: u64) {
    let mut held = some_sessions(&mut connect(url), REFRESHED);
    assert!(held.len() >= CONNECTIONS, "there are no sessions: fill first");
    let slice = Duration::from_secs(seconds);
    let mut refreshes = Vec::new();
    for round in 0..=SLICES {
        let refreshing = move |mut connection: Connection, mut share: Vec<PresentedSession>| async move {
            let (mut times, until, count) = (Vec::new(), Instant::now() + slice, share.len());
            for at in (0..count).cycle() {
                let began = Instant::now();
                if began >= until {
                    break;
                }
                refresh(&mut connection, &mut share[at]).await;
                times.push(began.elapsed());
            }
            // The next round starts with the sessions that this one did not reach.
            share.rotate_left(times.len() % count);
            (times, share)
        };
        let made = on_connections(address, shares(held), refreshing).await;
        held = made.iter().flat_map(|(_, share)| share.clone()).collect();
        // The first round is a warm-up.
        if round > 0 {
            refreshes.push(percentiles(made.into_iter().flat_map(|(times, _)| times).collect()));
        }
    }
    held.retain(|held| held.note.is_some());
    held.truncate(READING);
    let mut reads = Vec::new();
    for round in 0..=SLICES {
        let reading = move |mut connection: Connection, mut share: Vec<PresentedSession>| async move {
            let mut times = Vec::new();
            for held in share.iter_mut().filter(|held| held.access.is_empty()) {
                refresh(&mut connection, held).await;
            }
            let until = Instant::now() + slice;
            for held in share.iter().cycle() {
                let began = Instant::now();
                if began >= until {
                    break;
                }
                get(&mut connection, &format!("/api/v1/notes/{}", held.note.expect("a note")), &held.access)
                    .await;
                times.push(began.elapsed());
            }
            (times, share)
        };
        let made = on_connections(address, shares(held), reading).await;
        held = made.iter().flat_map(|(_, share)| share.clone()).collect();
        if round > 0 {
            reads.push(percentiles(made.into_iter().flat_map(|(times, _)| times).collect()));
        }
    }
    for figures in [refreshes, reads] {
        let (p50, p99): (Vec<f64>, Vec<f64>) = figures.into_iter().unzip();
        print!("{:.3} {:.3} ", median(p50), median(p99));
    }
    println!();
}

/// Presents up to `count` access tokens, each of another session. Prints their number, and the node's memory
/// before and after in megabytes.
async fn memory(address: &str, url: &str, pid: &str, count: u64) {
    let before = megabytes(pid);
    let held = some_sessions(&mut connect(url), count);
    let presenting = |mut connection: Connection, share: Vec<PresentedSession>| async move {
        let count = share.len();
        for mut held in share {
            refresh(&mut connection, &mut held).await;
            get(&mut connection, "/api/v1/me", &held.access).await;
        }
        count
    };
    let presented: usize = on_connections(address, shares(held), presenting).await.into_iter().sum();
    println!("{presented} {before:.1} {:.1}", megabytes(pid));
}

fn megabytes(pid: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    number(line.trim().trim_end_matches(" kB")) as f64 * 1024.0 / 1e6
}

/// Prints how many sign-outs a second one node and its PostgreSQL can handle. Creates the sessions for this
/// and deletes them afterwards.
async fn ends(address: &str, url: &str, seconds: u64) {
    const FIRST: u64 = 0x0fff_0000_0000;
    let mut connection = connect(url);
    let made = |statement: &str, connection: &mut PgConnection| {
        sql_query(statement)
            .bind::<BigInt, _>(FIRST as i64)
            .bind::<BigInt, _>((FIRST + TO_END - 1) as i64)
            .execute(connection)
            .expect("sessions");
    };
    let ids = "SELECT ('019b0000-0000-7000-8004-' || lpad(to_hex(n), 12, '0'))::uuid AS id FROM generate_series($1, $2) AS n";
    made(
        &format!(
            "INSERT INTO sessions (id, user_id, kind, expires_at)
             SELECT id, (SELECT id FROM users LIMIT 1), 'api', now() + interval '1 day' FROM ({ids}) AS made"
        ),
        &mut connection,
    );
    made(
        &format!(
            "INSERT INTO refresh_tokens (session_id, secret_digest, expires_at)
             SELECT id, sha256('\\x00000000000000000000000000000000'::bytea), now() + interval '1 day' FROM ({ids}) AS made"
        ),
        &mut connection,
    );
    let (next, keys) = (Arc::new(AtomicUsize::new(0)), Arc::new(secret_keys()));
    let until = Instant::now() + Duration::from_secs(seconds);
    let started = Instant::now();
    let ending = |mut connection: Connection, _| {
        let (next, keys) = (Arc::clone(&next), Arc::clone(&keys));
        async move {
            let mut done = 0;
            while Instant::now() < until {
                let number = next.fetch_add(1, Ordering::Relaxed) as u128;
                if number >= u128::from(TO_END) {
                    break;
                }
                let id =
                    Uuid::from_u128(0x019b_0000_0000_7000_8004_0000_0000_0000 + u128::from(FIRST) + number);
                let token = refresh_token::issue(&keys, id, [0; 16], 1);
                let body = json!({ "refresh_token": token.expose() }).to_string();
                let answer =
                    connection.ask("POST", "/api/v1/auth/logout", "", &body).await.expect("an answer");
                assert_eq!(answer.status, 204, "{}", String::from_utf8_lossy(answer.body()));
                done += 1;
            }
            done
        }
    };
    let done: u32 = on_connections(address, vec![(); ENDING], ending).await.into_iter().sum();
    println!("{:.0}", f64::from(done) / started.elapsed().as_secs_f64());
    let gone = "DELETE FROM sessions WHERE id IN (SELECT id FROM (";
    made(&format!("{gone}{ids}) AS made)"), &mut connection);
}

/// Prints the median time from the start of a node until `/readyz` is 200, in milliseconds.
async fn start(binary: &str, address: &str) {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        let mut node = Command::new(binary)
            .arg("serve")
            .env("DOORWARD_LISTEN", address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("a node");
        let mut ready = false;
        while !ready && started.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if let Ok(mut connection) = Connection::open(address).await {
                ready =
                    connection.ask("GET", "/readyz", "", "").await.is_ok_and(|answer| answer.status == 200);
            }
        }
        times.push(started.elapsed().as_secs_f64() * 1e3);
        node.kill().expect("killed");
        node.wait().expect("it was ours");
        assert!(ready, "{address} is not ready in time");
    }
    println!("{:.0}", median(times));
}

/// Prints the picture of the figures. The file has a line for each size, with the size and the four
/// percentiles.
fn draw(figures: &str) {
    let text = std::fs::read_to_string(figures).expect("figures");
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let columns: Vec<String> = rows.iter().map(|row| row[0].to_owned()).collect();
    let line = |at: usize, name: &'static str, colour: &'static str, is_dashed: bool| Line {
        name,
        colour,
        is_dashed,
        values: rows.iter().map(|row| row[at].parse().expect("a figure")).collect(),
    };
    let lines = [
        line(1, "refresh, p50", "#1b6ca8", false),
        line(2, "refresh, p99", "#1b6ca8", true),
        line(3, "read, p50", "#b5540a", false),
        line(4, "read, p99", "#b5540a", true),
    ];
    let title = "What an answer takes as the database grows";
    print!(
        "{}",
        chart::draw(title, "users and sessions, with ten notes each", "milliseconds", &columns, &lines)
    );
}
