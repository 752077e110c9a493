//! Requests change nothing if their caller is signed out, demoted, disabled or deleted after the guard has
//! authorized them.

use std::sync::mpsc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use doorward::blocking::{Lane, caller};
use doorward_test::{Answer, Browser, PASSWORD, World};
use reqwest::Method;
use serde_json::{Value, json};

use crate::http::raw::{Bytes, Connection};

/// The row that shows that the guard has authorized a request.
#[derive(Clone, Copy)]
enum LastUseRow<'a> {
    SessionOf(&'a str),
    TokenOf(&'a str),
}

impl LastUseRow<'_> {
    fn rows(self) -> String {
        let (table, name) = match self {
            Self::SessionOf(name) => ("sessions", name),
            Self::TokenOf(name) => ("personal_tokens", name),
        };
        format!("{table} WHERE user_id = (SELECT id FROM users WHERE username = '{name}')")
    }

    fn prepare(self, world: &World) {
        let rows = self.rows().replacen(" WHERE", " SET last_used_at = now() - interval '1 minute' WHERE", 1);
        world.sql_and_clear_cache(&format!("UPDATE {rows}"));
    }

    async fn wait(self, world: &World) {
        let rows = self.rows();
        let used = format!("SELECT count(*) FROM {rows} AND last_used_at > now() - interval '30 seconds'");
        while world.count(&used) == 0 {
            world.flush().await;
            tokio::task::yield_now().await;
        }
    }
}

/// Sends a request whose body is complete only after `between`.
async fn send_slowly(
    world: &World,
    (method, path, token): (&str, &str, &str),
    body: &Value,
    used: LastUseRow<'_>,
    between: impl AsyncFnOnce(),
) -> Bytes {
    used.prepare(world);
    let body = body.to_string();
    let (first, rest) = body.split_at(1);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: doorward.test\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{first}",
        body.len()
    );
    let mut connection = Connection::open(world.base.trim_start_matches("http://")).await;
    connection.send(head.as_bytes()).await;
    used.wait(world).await;
    between().await;
    connection.finish(rest.as_bytes()).await
}

#[track_caller]
fn assert_refused(answer: &Bytes, code: &str) {
    assert!(answer.text().contains(&format!("\"code\":\"{code}\"")), "{code}: {}", answer.text());
}

/// Occupies all hashing threads until `between` is over, so that the request waits for one.
async fn while_hashing_waits(
    world: &World,
    request: impl Future<Output = Answer>,
    used: LastUseRow<'_>,
    between: impl AsyncFnOnce(),
) -> Answer {
    used.prepare(world);
    let (releases, gates): (Vec<_>, Vec<_>) = (0..std::thread::available_parallelism()
        .map_or(1, usize::from))
        .map(|_| mpsc::channel::<()>())
        .unzip();
    let (started, starts) = mpsc::channel();
    for gate in gates {
        let (pool, started) = (world.state.core.passwords.threads().clone(), started.clone());
        actix_web::rt::spawn(async move {
            let work = move || {
                let _ = started.send(());
                let _ = gate.recv();
            };
            let claim = caller::WorkOwner::default().claim(Lane::Ordinary);
            let _ = pool.run(Duration::from_secs(60), claim, work).await;
        });
    }
    for _ in 0..releases.len() {
        while starts.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
    }
    let end = async {
        used.wait(world).await;
        between().await;
        drop(releases);
    };
    tokio::join!(request, end).0
}

/// A world in which the admin `root` acts on the admin `mallory`.
struct Case {
    world: World,
    root: String,
    id: String,
}

impl Case {
    async fn new() -> Self {
        let world = World::new().await;
        let id = world.user("mallory", "admin").to_string();
        let root = world.signed_in("root", "admin").await.access;
        Self { world, root, id }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/users/{}{rest}", self.id)
    }

    async fn end(&self, ending: Ending) {
        let (world, root) = (&self.world, &self.root);
        let answer = match ending {
            Ending::Sessions => world.delete(&self.path("/sessions"), root).await,
            Ending::Tokens => world.delete(&self.path("/tokens"), root).await,
            Ending::Disabled => world.patch(&self.path(""), root, json!({"status": "disabled"})).await,
            Ending::Demoted => world.patch(&self.path(""), root, json!({"role": "member"})).await,
            Ending::Deleted => world.delete(&self.path(""), root).await,
        };
        assert!((200..300).contains(&answer.status), "{}", answer.body);
    }

    fn made(&self) -> i64 {
        self.world.count("SELECT count(*) FROM users WHERE username = 'late'")
    }
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Sessions,
    Tokens,
    Disabled,
    Demoted,
    Deleted,
}

/// Each way of ending with the code that an access token is then refused with.
const OF_SESSIONS: [(Ending, &str); 4] = [
    (Ending::Sessions, "session_ended"),
    (Ending::Disabled, "account_disabled"),
    (Ending::Demoted, "token_revoked"),
    (Ending::Deleted, "account_deleted"),
];

fn late() -> Value {
    json!({"username": "late", "password": "another unusual phrase", "role": "admin"})
}

#[actix_web::test]
async fn slow_body_changes_nothing_after_its_session_ended() {
    for (ending, code) in OF_SESSIONS {
        let case = Case::new().await;
        let token = case.world.login("mallory").await.access;
        let ask = ("POST", "/api/v1/users", token.as_str());
        let end = async || case.end(ending).await;
        let answer = send_slowly(&case.world, ask, &late(), LastUseRow::SessionOf("mallory"), end).await;
        assert_refused(&answer, code);
        assert_eq!(case.made(), 0, "{ending:?}");
    }
}

#[actix_web::test]
async fn queued_hash_changes_nothing_after_its_session_ended() {
    for (ending, code) in OF_SESSIONS {
        let case = Case::new().await;
        let token = case.world.login("mallory").await.access;
        let request = case.world.post("/api/v1/users", &token, late());
        let end = async || case.end(ending).await;
        let answer = while_hashing_waits(&case.world, request, LastUseRow::SessionOf("mallory"), end).await;
        answer.refused(code);
        assert_eq!(case.made(), 0, "{ending:?}");
    }
}

#[actix_web::test]
async fn slow_body_changes_nothing_after_its_personal_token_ended() {
    let of_tokens = [
        (Ending::Tokens, "token_revoked"),
        (Ending::Disabled, "account_disabled"),
        (Ending::Demoted, "permission_denied"),
        (Ending::Deleted, "account_deleted"),
    ];
    for (ending, code) in of_tokens {
        let case = Case::new().await;
        let access = case.world.login("mallory").await.access;
        let scope = "users:read users:write account:read notes:read notes:write";
        let (token, _) = case.world.personal_token(&access, scope).await;
        let ask = ("POST", "/api/v1/users", token.as_str());
        let new = json!({"username": "late", "role": "member"});
        let end = async || case.end(ending).await;
        let answer = send_slowly(&case.world, ask, &new, LastUseRow::TokenOf("mallory"), end).await;
        assert_refused(&answer, code);
        assert_eq!(case.made(), 0, "{ending:?}");
    }
}

#[actix_web::test]
async fn password_form_changes_nothing_after_its_session_ended() {
    for (ending, status) in
        [(Ending::Sessions, 303), (Ending::Disabled, 303), (Ending::Demoted, 403), (Ending::Deleted, 303)]
    {
        let case = Case::new().await;
        let mut browser = Browser::signed_in(&case.world, "mallory").await;
        let csrf = browser.form_token("/admin/users/new").await;
        let fields = [
            ("csrf_token", csrf.as_str()),
            ("by", "password"),
            ("username", "late"),
            ("password", "another unusual phrase"),
            ("role", "member"),
        ];
        let request = browser.post("/admin/users/new", &fields);
        let end = async || case.end(ending).await;
        let answer = while_hashing_waits(&case.world, request, LastUseRow::SessionOf("mallory"), end).await;
        assert_eq!(answer.status, status, "{ending:?} {}", answer.body);
        assert_eq!(case.made(), 0, "{ending:?}");
    }
}

#[actix_web::test]
async fn slow_writes_change_nothing_after_their_session_ended() {
    let case = Case::new().await;
    let (world, token) = (&case.world, case.world.login("mallory").await.access);
    let bob = world.user("bob", "member");
    let note = world.post("/api/v1/notes", &token, json!({"title": "a note", "body": ""})).await.text("id");
    let writes = [
        ("PATCH", format!("/api/v1/users/{bob}"), json!({"role": "admin"})),
        ("POST", format!("/api/v1/users/{bob}/password"), json!({"link": true})),
        ("POST", "/api/v1/me/tokens".to_owned(), json!({"name": "late", "scope": "notes:read"})),
        ("POST", "/api/v1/notes".to_owned(), json!({"title": "late", "body": ""})),
        ("PATCH", format!("/api/v1/notes/{note}"), json!({"title": "late"})),
        ("PUT", format!("/api/v1/notes/{note}"), json!({"title": "late", "body": ""})),
    ];
    for (method, path, body) in &writes {
        let token = world.login("mallory").await.access;
        let end = async || case.end(Ending::Sessions).await;
        let ask = (*method, path.as_str(), token.as_str());
        let answer = send_slowly(world, ask, body, LastUseRow::SessionOf("mallory"), end).await;
        assert_refused(&answer, "session_ended");
    }
    assert_eq!(world.text("SELECT role AS text FROM users WHERE username = 'bob'"), "member");
    for table in ["password_links", "personal_tokens", "notes WHERE title = 'late'"] {
        assert_eq!(world.count(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
}

#[actix_web::test]
async fn queued_password_changes_nothing_after_its_session_ended() {
    let case = Case::new().await;
    let world = &case.world;
    let bob = world.user("bob", "member");
    let hashes = "SELECT string_agg(password_hash, ' ' ORDER BY username) AS text FROM users";
    let before = world.text(hashes);
    let own = json!({"email": "late@example.com", "current_password": PASSWORD});
    let new = json!({"current_password": PASSWORD, "new_password": "another unusual phrase"});
    let reset = json!({"new_password": "another unusual phrase"});
    let writes = [
        (Method::PATCH, "/api/v1/me".to_owned(), own),
        (Method::POST, "/api/v1/me/password".to_owned(), new),
        (Method::POST, format!("/api/v1/users/{bob}/password"), reset),
    ];
    for (method, path, body) in writes {
        let token = world.login("mallory").await.access;
        let request = world.ask(method, &path).bearer(&token).json(&body).send();
        let end = async || case.end(Ending::Sessions).await;
        while_hashing_waits(world, request, LastUseRow::SessionOf("mallory"), end)
            .await
            .refused("session_ended");
    }
    assert_eq!(world.text(hashes), before);
    assert_eq!(world.count("SELECT count(*) FROM users WHERE email IS NOT NULL"), 0);
}

#[actix_web::test]
async fn late_note_is_checked_against_the_demoted_role() {
    let case = Case::new().await;
    let world = &case.world;
    let bob = world.signed_in("bob", "member").await.access;
    let content = json!({"title": "of bob", "body": "", "shared": true});
    let note = world.post("/api/v1/notes", &bob, content).await.text("id");
    let access = world.login("mallory").await.access;
    let scope = "notes:read notes:write notes:manage";
    let (token, _) = world.personal_token(&access, scope).await;
    for (method, path, code) in
        [("PATCH", format!("/api/v1/notes/{note}"), "not_owner"), ("POST", "/api/v1/notes".to_owned(), "")]
    {
        world.patch(&case.path(""), &case.root, json!({"role": "admin"})).await;
        let body =
            if code.is_empty() { json!({"title": "mine", "body": ""}) } else { json!({"title": "late"}) };
        let end = async || case.end(Ending::Demoted).await;
        let ask = (method, path.as_str(), token.as_str());
        let answer = send_slowly(world, ask, &body, LastUseRow::TokenOf("mallory"), end).await;
        if code.is_empty() {
            assert_eq!(answer.status(), 201, "{}", answer.text());
        } else {
            assert_refused(&answer, code);
        }
    }
}

#[actix_web::test]
async fn admins_who_change_each_other_never_deadlock() {
    let case = Case::new().await;
    let world = &case.world;
    let mallory = world.login("mallory").await.access;
    let root_id = world.text("SELECT id::text AS text FROM users WHERE username = 'root'");
    for round in 0..20 {
        let email = json!({"email": format!("round{round}@example.com")});
        let other = json!({"email": format!("other{round}@example.com")});
        let path = format!("/api/v1/users/{root_id}");
        let one = world.patch(&path, &mallory, email);
        let two_path = case.path("");
        let two = world.patch(&two_path, &case.root, other);
        let (one, two) = tokio::join!(one, two);
        assert_eq!((one.status, two.status), (200, 200), "{} {}", one.body, two.body);
    }
    let deadlocks = "SELECT deadlocks AS count FROM pg_stat_database WHERE datname = current_database()";
    let mut connection = world.connection();
    connection.batch_execute("SELECT pg_stat_force_next_flush()").unwrap();
    assert_eq!(world.count(deadlocks), 0);
}
