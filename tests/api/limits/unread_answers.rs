//! A page ends when it is full, and a caller's unread responses are limited.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use doorward_test::{Browser, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// The size of the text after which a page ends, in bytes.
const PAGE: usize = 512 * 1024;
/// The size of a note with 20,000 characters of three bytes, in bytes.
const NOTE: usize = 60_000;
/// The maximum number of connections that are opened until one is refused.
const CONNECTIONS: usize = 100;

/// Inserts this many notes, each with the character 20,000 times.
fn fill(world: &World, owner: &str, count: usize, character: &str) {
    world.sql(&format!(
        "INSERT INTO notes (id, owner_id, title, body, shared, created_at, updated_at) \
         SELECT gen_random_uuid(), id, 'n' || n, repeat(E'{character}', 20000), false, now(), now() \
         FROM users, generate_series(1, {count}) n WHERE username = '{owner}'"
    ));
}

/// A response whose first bytes have been read.
struct Unread {
    stream: TcpStream,
    status: String,
}

impl Unread {
    async fn of(world: &World, path: &str, token: Option<&str>) -> Self {
        let address: SocketAddr = world.base.strip_prefix("http://").unwrap().parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        let credential = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{credential}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        let status = String::from_utf8_lossy(&start[9..]).into_owned();
        Self { stream, status }
    }

    async fn read(mut self) -> String {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.unwrap();
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// Sends requests without reading their responses until one is refused. Returns the responses and the
/// refusal.
async fn ask_until_refused(world: &World, token: &str) -> (Vec<Unread>, Unread) {
    let mut unread = Vec::new();
    for _ in 0..CONNECTIONS {
        let answer = Unread::of(world, "/api/v1/notes?limit=200", Some(token)).await;
        if answer.status != "200" {
            return (unread, answer);
        }
        unread.push(answer);
    }
    panic!("{CONNECTIONS} unread answers");
}

#[actix_web::test]
async fn page_of_notes_ends_when_it_is_full() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    fill(&world, "alice", 30, "\u{6f22}");
    for filter in ["", "&owner=me", "&q=%E6%BC%A2%E6%BC%A2"] {
        let (mut seen, mut pages, mut cursor) = (BTreeSet::new(), 0, String::new());
        loop {
            let page =
                world.get(&format!("/api/v1/notes?limit=200{filter}{cursor}"), &alice.access).await.body;
            let items = page["items"].as_array().unwrap();
            let bytes: usize = items.iter().map(|item| item["body"].as_str().unwrap().len()).sum();
            assert!(bytes < PAGE + NOTE, "{filter}: {bytes}");
            assert!(items.iter().all(|item| seen.insert(item["id"].to_string())), "{filter}: once each");
            pages += 1;
            match page["next_cursor"].as_str() {
                Some(next) => {
                    assert!(bytes + NOTE >= PAGE, "{filter}: no page ends before it is full");
                    cursor = format!("&cursor={next}");
                }
                None => break,
            }
        }
        assert_eq!((seen.len(), pages), (30, 4), "{filter}");
    }
}

#[actix_web::test]
async fn full_last_page_has_no_cursor() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    fill(&world, "alice", 9, "\u{6f22}");
    let page = world.get("/api/v1/notes?limit=200", &alice.access).await.body;
    assert_eq!(page["items"].as_array().unwrap().len(), 9);
    assert!(page["next_cursor"].is_null(), "{}", page["next_cursor"]);
}

#[actix_web::test]
async fn unread_responses_of_one_caller_are_bounded() {
    let world = World::new().await;
    let alice = world.signed_in("alice", "member").await;
    let bob = world.signed_in("bob", "member").await;
    // Each of these bytes becomes six in JSON, so a page has about 3 MB.
    fill(&world, "alice", 30, "\\x01");
    fill(&world, "bob", 1, "\\x01");
    let (unread, refusal) = ask_until_refused(&world, &alice.access).await;
    assert!(unread.len() > 1);
    let refusal = refusal.read().await;
    assert!(refusal.contains("\"code\":\"overloaded\"") && refusal.contains("retry-after: "), "{refusal}");
    assert_eq!(world.get("/api/v1/me", &alice.access).await.status, 200, "a small answer is free");
    assert_eq!(world.get("/api/v1/notes?limit=200", &bob.access).await.status, 200);
    for answer in unread {
        assert!(answer.read().await.contains("\"next_cursor\":"), "it is sent whole");
    }
    assert_eq!(world.get("/api/v1/notes?limit=200", &alice.access).await.status, 200);
}

#[actix_web::test]
async fn export_is_refused_while_large_responses_are_unread() {
    let world = World::new().await;
    let tokens = world.login("admin").await;
    let mut admin = Browser::signed_in(&world, "admin").await;
    fill(&world, "admin", 30, "\\x01");
    let (unread, _) = ask_until_refused(&world, &tokens.access).await;
    for path in ["/admin/audit.csv", "/admin/audit.json"] {
        let refused = admin.get(path).await;
        assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true), "{path}");
    }
    for answer in unread {
        answer.read().await;
    }
    assert_eq!(admin.get("/admin/audit.csv").await.status, 200);
}

#[actix_web::test]
async fn unread_static_files_are_not_counted() {
    let world = World::new().await;
    let mut unread = Vec::new();
    for _ in 0..20 {
        unread.push(Unread::of(&world, "/docs/viewer/swagger-ui-bundle.js", None).await);
    }
    assert!(unread.iter().all(|answer| answer.status == "200"));
    let file = unread.remove(0).read().await;
    let (_, body) = file.split_once("\r\n\r\n").unwrap();
    assert!(body.len() > 1_000_000, "{}", body.len());
}
