//! The load of `make bench`: small, stateful where it must be, and never in the product's binary. `benches/run` calls
//! it and puts each figure beside its limit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]
#![allow(missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};
use doorward::database::Database;
use doorward::resources::notes::note;
use doorward::sessions::rotate::STATEMENT;
use doorward::users::password::{PasswordHash, PlainPassword};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

const CLIENTS: usize = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["statement"] => println!("{}", pgbench_script()),
        ["raw-bcrypt", cost, seconds] => println!("{:.2}", raw_bcrypt(number(cost), number(seconds))),
        [kind, address, password, seconds, rest @ ..] => {
            let (kind, address, password) = (*kind, (*address).to_owned(), (*password).to_owned());
            let seconds = number(seconds);
            let database = rest.first().map(|url| (*url).to_owned());
            let rate = actix_web::rt::System::new().block_on(async move {
                let client =
                    Arc::new(Target { address, password, time: Duration::from_secs(seconds.into()) });
                match kind {
                    "refresh" => refresh(&client).await,
                    "login" => login(&client).await,
                    "guarded" => guarded(&client).await,
                    "bare" => bare(&client, &database.expect("a database")).await,
                    _ => panic!("no such load: {kind}"),
                }
            });
            println!("{rate:.1}");
        }
        _ => println!(
            "load statement | raw-bcrypt COST SECONDS | refresh|login|guarded|bare ADDRESS PASSWORD SECONDS [DATABASE]"
        ),
    }
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}

struct Target {
    address: String,
    password: String,
    time: Duration,
}

/// A connection that is kept, and little else: the client runs on the cores that it measures.
struct Connection(TcpStream);

impl Connection {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server");
        stream.set_nodelay(true).expect("no delay");
        Self(stream)
    }

    async fn ask(&mut self, method: &str, path: &str, token: &str, body: &str) -> (u16, Vec<u8>) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let head = if token.is_empty() { request.replace("authorization: Bearer \r\n", "") } else { request };
        self.0.write_all(head.as_bytes()).await.expect("a request");
        let mut answer = Vec::with_capacity(2048);
        let (head_end, length) = loop {
            assert!(self.0.read_buf(&mut answer).await.expect("an answer") > 0, "the server hung up");
            if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                break (end + 4, length.and_then(|text| text.trim().parse().ok()).unwrap_or(0));
            }
        };
        while answer.len() < head_end + length {
            assert!(self.0.read_buf(&mut answer).await.expect("a body") > 0, "the server hung up");
        }
        let status = std::str::from_utf8(&answer[9..12]).expect("a status").parse().expect("a status");
        (status, answer.split_off(head_end))
    }

    async fn ask_json(&mut self, method: &str, path: &str, token: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, token, &body.to_string()).await;
        assert!(status < 300, "{status} {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap_or_default()
    }

    async fn login(&mut self, password: &str) -> Value {
        self.ask_json("POST", "/api/v1/auth/login", "", &json!({ "username": "admin", "password": password }))
            .await
    }
}

/// As many tasks as there are connections, until the time is over; gives how many rounds a second they made.
async fn measure<F, W>(time: Duration, tasks: Vec<F>) -> f64
where
    F: FnOnce(Arc<AtomicU64>, Instant) -> W,
    W: Future<Output = ()> + 'static,
{
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let running: Vec<_> =
        tasks.into_iter().map(|task| actix_web::rt::spawn(task(Arc::clone(&done), begun + time))).collect();
    for task in running {
        task.await.expect("a task");
    }
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// Each connection refreshes a chain of its own: the next token is the one that the last answer gave.
async fn refresh(target: &Target) -> f64 {
    let mut chains = Vec::new();
    for _ in 0..CLIENTS {
        let mut connection = Connection::open(&target.address).await;
        let tokens = connection.login(&target.password).await;
        chains.push((connection, tokens["refresh_token"].as_str().expect("a token").to_owned()));
    }
    let task = |(mut connection, mut live): (Connection, String)| {
        move |done: Arc<AtomicU64>, until: Instant| async move {
            while Instant::now() < until {
                let answer = connection
                    .ask_json("POST", "/api/v1/auth/refresh", "", &json!({ "refresh_token": live }))
                    .await;
                live = answer["refresh_token"].as_str().expect("a token").to_owned();
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    measure(target.time, chains.into_iter().map(task).collect()).await
}

async fn login(target: &Arc<Target>) -> f64 {
    let task = |_| {
        let target = Arc::clone(target);
        move |done: Arc<AtomicU64>, until: Instant| async move {
            let mut connection = Connection::open(&target.address).await;
            while Instant::now() < until {
                connection.login(&target.password).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    measure(target.time, (0..4).map(task).collect()).await
}

/// On as many threads as the server hashes with.
fn raw_bcrypt(cost: u32, seconds: u32) -> f64 {
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds.into());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let done: u64 = std::thread::scope(|scope| {
        let hash = || {
            let (password, mut done) = (PlainPassword::new("an unusual pass phrase"), 0);
            while Instant::now() < until {
                std::hint::black_box(PasswordHash::new(&password, cost));
                done += 1;
            }
            done
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(hash)).collect();
        running.into_iter().map(|thread| thread.join().expect("a thread")).sum()
    });
    done as f64 / begun.elapsed().as_secs_f64()
}

async fn guarded(target: &Arc<Target>) -> f64 {
    let mut connection = Connection::open(&target.address).await;
    let tokens = connection.login(&target.password).await;
    let token = tokens["access_token"].as_str().expect("a token").to_owned();
    let note =
        json!({ "title": "a note", "body": "of an ordinary size, as notes are: a line or two of text" });
    let made = connection.ask_json("POST", "/api/v1/notes", &token, &note).await;
    let path = format!("/api/v1/notes/{}", made["id"].as_str().expect("an id"));
    read(&target.address, &path, &token, target.time).await
}

async fn read(address: &str, path: &str, token: &str, time: Duration) -> f64 {
    let mut connections = Vec::new();
    for _ in 0..CLIENTS {
        connections.push(Connection::open(address).await);
    }
    let task = |mut connection: Connection| {
        let (path, token) = (path.to_owned(), token.to_owned());
        move |done: Arc<AtomicU64>, until: Instant| async move {
            while Instant::now() < until {
                let (status, _) = connection.ask("GET", &path, &token, "").await;
                assert_eq!(status, 200);
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    measure(time, connections.into_iter().map(task).collect()).await
}

/// The same query through the same pool, behind nothing: what a guard could cost at best.
async fn bare(target: &Arc<Target>, database_url: &str) -> f64 {
    let database = Database::new(database_url, 8);
    let ids = database
        .run(|connection| note::list(connection, &note::Filter::default(), 1))
        .await
        .expect("the database");
    let id = ids.first().expect("a note of the guarded run").id;
    let state = web::Data::new(database);
    let factory = move || App::new().app_data(state.clone()).service(web::resource("/notes/{id}").get(show));
    let server = HttpServer::new(factory).workers(2).bind(("127.0.0.1", 0)).expect("a port");
    let address = server.addrs()[0].to_string();
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    let rate = read(&address, &format!("/notes/{id}"), "", target.time).await;
    handle.stop(false).await;
    rate
}

async fn show(database: web::Data<Database>, id: web::Path<Uuid>) -> HttpResponse {
    let id = id.into_inner();
    let found = database
        .run(move |connection| note::find(connection, id))
        .await
        .expect("the database")
        .expect("a note");
    HttpResponse::Ok().json(json!({
        "id": found.id, "title": found.title, "body": found.body, "shared": found.shared,
        "owner": { "id": found.owner_id, "username": found.owner_name },
        "created_at": found.created_at, "updated_at": found.updated_at,
    }))
}

/// The statement of a refresh as a script of pgbench, each client with a chain of its own.
fn pgbench_script() -> String {
    let given = "WITH given AS MATERIALIZED (SELECT \
        ('00000000-0000-7000-8000-' || lpad(:client_id::text, 12, '0'))::uuid AS session_id, \
        decode(repeat('00', 32), 'hex') AS secret_digest, :live_generation::int AS generation, NULL::text[] AS scope, true AS spends, \
        interval '10 seconds' AS grace, interval '30 days' AS refresh_ttl, gen_random_uuid() AS event_id, \
        '127.0.0.1'::text AS address, gen_random_uuid() AS request_id), ";
    let statement: Vec<&str> = STATEMENT.lines().map(str::trim).collect();
    // Only what the next round needs is kept of the answer.
    format!("{given}{} \\gset live_", statement.join(" "))
}
