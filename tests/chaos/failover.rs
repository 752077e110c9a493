//! The primary is lost and its standby promoted. Nothing is missing with a synchronous standby. An
//! asynchronous one lacks the last changes, of which the nodes re-apply those that they know.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use doorward_test::PASSWORD;
use doorward_test::machine::{folder, free_port};
use doorward_test::wire::Connection;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::drill::{Drill, RECOVERY, Setup, rounds};
use crate::load::on_a_runtime;
use crate::node::Node;
use crate::postgres::Postgres;
use crate::proxy::{Behaviour, Proxy};

/// The time until every other node refuses what one node knows to be ended, and until ends that the database
/// has lost are re-applied.
const ENDED_WITHIN: Duration = Duration::from_secs(1);

#[test]
fn synchronous_failover_loses_nothing() {
    let primary = Postgres::with(&[]);
    let port = free_port();
    let mut standby = primary.standby(port, primary.port);
    primary.wait_for_standby();
    let fault = "the primary killed, a synchronous standby promoted";
    let environment = vec![("DATABASE_URL", primary.url_of_both(port))];
    let mut drill = Drill::on(primary, Setup { environment, ..Setup::of(fault) });
    for round in 0..rounds(20) {
        if round > 0 {
            // The lost primary returns as a standby of the other.
            standby = drill.postgres.standby(standby.port, drill.postgres.port);
            drill.postgres.wait_for_standby();
        }
        drill.round(|drill| {
            drill.postgres.lose();
            standby.promote();
            let promoted = Instant::now();
            std::mem::swap(&mut drill.postgres, &mut standby);
            promoted
        });
    }
    for node in &drill.nodes {
        node.wait_until_ready();
    }
    let went_back =
        "SELECT '' AS one, count(*)::text AS other FROM audit_events WHERE type = 'database_went_back'";
    drill.postgres.wait_for(went_back, "0");
    drill.end();
}

/// Sends a request on a new connection. The status is 0 if there was no response.
fn ask(node: &Node, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    on_a_runtime(async {
        let Ok(mut connection) = Connection::open(&node.address).await else { return (0, Value::Null) };
        match connection.ask(method, path, token, &body).await {
            Ok(answer) => (answer.status, answer.json()),
            Err(_) => (0, Value::Null),
        }
    })
}

fn me(node: &Node, token: &str) -> (u16, Value) {
    ask(node, "GET", "/api/v1/me", token, &Value::Null)
}

fn login_as(node: &Node, name: &str, password: &str) -> (u16, Value) {
    ask(node, "POST", "/api/v1/auth/login", "", &json!({ "username": name, "password": password }))
}

fn refresh(node: &Node, tokens: &Value) -> (u16, Value) {
    let body = json!({ "refresh_token": tokens["refresh_token"] });
    ask(node, "POST", "/api/v1/auth/refresh", "", &body)
}

fn access(tokens: &Value) -> &str {
    tokens["access_token"].as_str().unwrap()
}

#[track_caller]
fn done((status, body): (u16, Value)) -> Value {
    assert!((200..300).contains(&status), "{status} {body}");
    body
}

/// Checks that a node refuses the request within a second of `since`.
#[track_caller]
fn refused(since: Instant, code: &str, ask: impl Fn() -> (u16, Value)) -> Value {
    loop {
        let started = Instant::now();
        let (status, body) = ask();
        if status == 401 {
            assert_eq!(body["code"], code, "{body}");
            return body;
        }
        assert!(started - since < ENDED_WITHIN, "{status} {body}, {:?} after", started - since);
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a command on the nodes' database.
fn doorward(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DOORWARD")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir("/").env("DATABASE_URL", url);
    command.env("DOORWARD_SECRET_KEY", "the-key-of-a-cluster-that-lives-for-minutes").output().unwrap()
}

#[track_caller]
fn did(url: &str, arguments: &[&str]) -> Value {
    let output = doorward(url, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A primary, a standby whose connection to it can be cut, and two nodes.
struct Asynchronous {
    nodes: Vec<Node>,
    cable: Proxy,
    primary: Postgres,
    standby: Postgres,
    url: String,
    _folder: tempfile::TempDir,
}

impl Asynchronous {
    fn begin() -> Self {
        let primary = Postgres::with(&[]);
        let cable = Proxy::before(primary.port);
        let standby = primary.standby(free_port(), cable.port);
        let url = primary.url_of_both(standby.port);
        let folder = folder();
        let mut nodes: Vec<Node> = (0..2).map(|_| Node::new(folder.path(), &url, &[])).collect();
        for node in &mut nodes {
            node.start();
            node.wait_until_ready();
        }
        Self { nodes, cable, primary, standby, url, _folder: folder }
    }

    /// Waits until the standby has everything so far, and then cuts it off.
    fn cut(&self) {
        self.primary.wait_for(
            "SELECT '' AS one, (replay_lsn = pg_current_wal_lsn())::text AS other FROM pg_stat_replication",
            "true",
        );
        self.cable.set(Behaviour::Refuse);
        self.primary.wait_for("SELECT '' AS one, count(*)::text AS other FROM pg_stat_replication", "0");
    }
}

#[test]
fn async_failover_reapplies_known_revocations() {
    let world = Asynchronous::begin();
    let (one, two) = (&world.nodes[0], &world.nodes[1]);
    for name in ["alice", "bob", "carol"] {
        let admin = done(login_as(one, "admin", PASSWORD));
        let account = json!({ "username": name, "password": PASSWORD, "role": "member" });
        done(ask(one, "POST", "/api/v1/users", access(&admin), &account));
    }
    let login = |name| done(login_as(one, name, PASSWORD));
    let (signed_out, kept, unknown) = (login("alice"), login("alice"), login("alice"));
    let wanted = json!({ "name": "a script", "scope": "notes:read" });
    let script = done(ask(one, "POST", "/api/v1/me/tokens", access(&kept), &wanted));
    let (script, script_id) = (script["token"].as_str().unwrap(), script["id"].as_str().unwrap());
    let bobs = login("bob");
    for node in &world.nodes {
        for token in [access(&signed_out), access(&kept), access(&unknown), access(&bobs), script] {
            done(me(node, token));
        }
    }

    // The changes that will be lost.
    world.cut();
    let out = json!({ "refresh_token": signed_out["refresh_token"] });
    done(ask(one, "POST", "/api/v1/auth/logout", "", &out));
    done(ask(two, "DELETE", &format!("/api/v1/me/tokens/{script_id}"), access(&kept), &Value::Null));
    did(&world.url, &["user", "disable", "bob", "--json"]);
    let change = json!({ "current_password": PASSWORD, "new_password": "no longer the pass phrase" });
    let carols = login("carol");
    done(ask(one, "POST", "/api/v1/me/password", access(&carols), &change));
    let since = Instant::now();
    for node in &world.nodes {
        refused(since, "session_ended", || me(node, access(&signed_out)));
        refused(since, "token_revoked", || me(node, script));
        let (status, body) = login_as(node, "bob", PASSWORD);
        assert!(status == 401 || status == 403, "{status} {body}");
    }
    let ahead = done(refresh(one, &done(refresh(two, &kept))));
    let begun_then = login("alice");
    // The nodes do not learn of this.
    world.nodes.iter().for_each(|node| node.signal(Signal::SIGSTOP));
    did(&world.url, &["user", "logout", "alice", "--json"]);
    world.primary.lose();
    world.nodes.iter().for_each(|node| node.signal(Signal::SIGCONT));
    world.standby.promote();
    let promoted = Instant::now();
    while world.nodes.iter().any(|node| !node.is_ready()) {
        assert!(promoted.elapsed() < RECOVERY, "no service in time: {}", one.said());
        for node in &world.nodes {
            for token in [access(&signed_out), script] {
                let (status, body) = me(node, token);
                assert!([401, 503].contains(&status), "{status} {body}, {:?} after", promoted.elapsed());
            }
            assert!([401, 503].contains(&refresh(node, &signed_out).0));
        }
        std::thread::sleep(Duration::from_millis(10));
    }

    for node in &world.nodes {
        let over = refused(promoted, "session_ended", || me(node, access(&signed_out)));
        assert_eq!(over["reason"], "logout");
        let (status, body) = refresh(node, &signed_out);
        assert_eq!((status, &body["code"]), (401, &json!("session_ended")));
        refused(promoted, "token_revoked", || me(node, script));
        let (status, body) = login_as(node, "bob", PASSWORD);
        assert!(status == 401 || status == 403, "{status} {body}");
        // A user whose session the standby knew stays signed in.
        done(refresh(node, &ahead));
        // No node knows of these.
        assert_eq!(refresh(node, &begun_then).1["code"], "refresh_token_unknown");
        done(login_as(node, "carol", PASSWORD));
        done(me(node, access(&unknown)));
    }

    // The operator sees this, and runs this command.
    let said = world.nodes.iter().map(Node::said).collect::<String>();
    assert!(said.contains("the database was reset to an earlier state"), "{said}");
    let went_back =
        "SELECT '' AS one, count(*)::text AS other FROM audit_events WHERE type = 'database_went_back'";
    world.standby.wait_for(went_back, "1");
    let counted: f64 = world.nodes.iter().map(|node| node.counter("doorward_database_went_back_total")).sum();
    assert!((counted - 1.0).abs() < f64::EPSILON, "{counted}");
    let doctor = String::from_utf8(doorward(&world.url, &["doctor"]).stdout).unwrap();
    let advice = doctor.split("doorward restored --since ").nth(1).unwrap_or_else(|| panic!("{doctor}"));
    let since = advice.split('`').next().unwrap();
    let later = "SELECT '' AS one, (now() > timestamptz '".to_owned()
        + since
        + "' + interval '1 second')::text AS other";
    world.standby.wait_for(&later, "true");
    let begun_since = login("alice");
    did(&world.url, &["restored", "--since", since, "--keep-signing-keys", "--yes", "--json"]);
    let ended = Instant::now();
    for node in &world.nodes {
        let over = refused(ended, "session_ended", || me(node, access(&unknown)));
        assert_eq!(over["reason"], "database_restored");
        done(me(node, access(&begun_since)));
    }
    let doctor = String::from_utf8(doorward(&world.url, &["doctor"]).stdout).unwrap();
    assert!(!doctor.contains("restored --since"), "{doctor}");
}
