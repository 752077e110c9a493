//! Two nodes on one database with different token lifetimes. A key is rotated from a shell without their
//! settings.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use doorward::database::private_postgres::PrivatePostgres;
use doorward_test::PASSWORD;
use serde_json::Value;

use crate::support::{Folder, Server, ask, pause};

const ISSUER: &str = "http://doorward.test";

/// Two data folders. The first one has the private PostgreSQL and the secret key.
struct Fleet {
    first: Folder,
    second: Folder,
}

impl Fleet {
    fn new() -> Self {
        Self { first: Folder::new(), second: Folder::new() }
    }

    fn serve_first(&self, ttl: &str) -> Server {
        let mut command = self.first.command(&["serve"]);
        command.env("DOORWARD_PUBLIC_URL", ISSUER).env("DOORWARD_ACCESS_TOKEN_TTL", ttl);
        self.first.serve_as(command)
    }

    /// Starts the second node. The first one must be running.
    fn serve_second(&self, ttl: &str) -> Server {
        self.second.serve_as(self.second_command(ttl))
    }

    fn second_command(&self, ttl: &str) -> Command {
        let url = PrivatePostgres::running(&self.first.data_dir()).unwrap().expect("it runs");
        let mut command = self.second.command(&["serve"]);
        command
            .env("DATABASE_URL", url.expose())
            .env("DOORWARD_SECRET_KEY_FILE", self.first.data_dir().join("secret.key"))
            .env("DOORWARD_PUBLIC_URL", ISSUER)
            .env("DOORWARD_ACCESS_TOKEN_TTL", ttl);
        command
    }

    fn nodes_finding(&self) -> (String, String) {
        let output = self.first.run(&["doctor", "--json", "--public-url", ISSUER]);
        let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let found = findings.iter().find(|finding| finding["check"] == "nodes").expect("a finding");
        let text = |name: &str| found[name].as_str().unwrap().to_owned();
        (text("level"), text("found"))
    }
}

/// The responses that the load has received.
#[derive(Default)]
struct Seen {
    good: AtomicUsize,
    refused: AtomicUsize,
    /// The first refusal.
    first: OnceLock<String>,
    stop: AtomicBool,
}

impl Seen {
    fn note(&self, status: u16, answer: &Value) {
        if status == 200 {
            self.good.fetch_add(1, Ordering::Relaxed);
        } else {
            self.first.get_or_init(|| format!("{status}: {answer}"));
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Runs a client that presents every access token it has received to every node, and refreshes on the
    /// nodes in turn.
    fn load(&self, nodes: [&Server; 2], refresh: &str, access: &str) {
        let (mut refresh, mut access) = (refresh.to_owned(), vec![access.to_owned()]);
        let mut round = 0;
        while !self.stop.load(Ordering::Relaxed) {
            for (node, token) in nodes.iter().flat_map(|node| access.iter().map(move |token| (node, token))) {
                let (status, answer) = node.get("/api/v1/me", token);
                self.note(status, &answer);
            }
            let (status, answer) = nodes[round % 2].refresh(&refresh);
            self.note(status, &answer);
            if let (Some(next), Some(token)) =
                (answer["refresh_token"].as_str(), answer["access_token"].as_str())
            {
                (refresh, round) = (next.to_owned(), round + 1);
                access.push(token.to_owned());
                if access.len() > 4 {
                    access.remove(1);
                }
            }
        }
    }

    /// Waits until the load has made this many more requests.
    fn wait_for_more(&self, requests: usize) {
        let made = || self.good.load(Ordering::Relaxed) + self.refused.load(Ordering::Relaxed);
        let before = made();
        while made() < before + requests {
            pause();
        }
    }
}

fn published(node: &Server) -> BTreeSet<String> {
    let (_, text) = ask(node.port, "GET", "/.well-known/jwks.json", "", None);
    let set: Value = serde_json::from_str(&text).unwrap_or_default();
    let kids = set["keys"].as_array().into_iter().flatten();
    kids.filter_map(|key| Some(key["kid"].as_str()?.to_owned())).collect()
}

/// Rotates the key from a shell without the nodes' settings, and waits until both nodes publish it.
fn rotate(fleet: &Fleet, nodes: [&Server; 2]) -> String {
    let made: Value = serde_json::from_str(&fleet.first.ok(&["key", "rotate", "--json"])).unwrap();
    let kid = made["kid"].as_str().unwrap().to_owned();
    while !nodes.iter().all(|node| published(node).contains(&kid)) {
        pause();
    }
    kid
}

fn tokens(node: &Server) -> (String, String) {
    let (status, answer) = node.login("admin", PASSWORD);
    assert_eq!(status, 200, "{answer}");
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (text("refresh_token"), text("access_token"))
}

#[test]
fn key_rotation_from_a_bare_shell_keeps_tokens_valid() {
    let fleet = Fleet::new();
    let (first, second) = (fleet.serve_first("1h"), fleet.serve_second("2m"));
    let (nodes, seen) = ([&first, &second], Seen::default());
    std::thread::scope(|scope| {
        for node in nodes {
            let (refresh, access) = tokens(node);
            scope.spawn({
                let seen = &seen;
                move || seen.load(nodes, &refresh, &access)
            });
        }
        for _ in 0..2 {
            rotate(&fleet, nodes);
            seen.wait_for_more(100);
        }
        seen.stop.store(true, Ordering::Relaxed);
    });
    let (good, refused) = (seen.good.into_inner(), seen.refused.into_inner());
    assert!(good > 200 && refused == 0, "{good} good, {refused} refused: {:?}", seen.first);
    let said = fleet.first.ok(&["key", "rotate"]);
    assert!(said.contains("the longest access token lifetime in this database is 3600 s"), "{said}");
}

#[test]
fn longer_lifetime_after_a_rotation_keeps_tokens_valid() {
    let fleet = Fleet::new();
    let (first, second) = (fleet.serve_first("5m"), fleet.serve_second("5m"));
    rotate(&fleet, [&first, &second]);
    drop(second);
    let second = fleet.serve_second("1h");
    let (_, access) = tokens(&second);
    for node in [&first, &second] {
        let (status, answer) = node.get("/api/v1/me", &access);
        assert_eq!(status, 200, "{answer}");
    }
}

#[test]
fn doctor_and_log_report_settings_that_differ_between_nodes() {
    let fleet = Fleet::new();
    let _first = fleet.serve_first("1h");
    let (level, found) = fleet.nodes_finding();
    assert!(level == "pass" && found.starts_with("one node is live: "), "{found}");
    let mut second = fleet.second_command("5m");
    let second = fleet.second.serve_as({
        second.env("DOORWARD_AUDIENCES", "reports,https://api.example.org");
        second
    });
    let differ = "live nodes differ: DOORWARD_ACCESS_TOKEN_TTL is 1h on ";
    let output = fleet.first.run(&["doctor", "--public-url", ISSUER]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(&format!("warn  nodes          {differ}")), "{said}");
    assert!(
        said.contains("live nodes differ: DOORWARD_AUDIENCES is https://api.example.org,reports on "),
        "{said}"
    );
    assert!(said.contains("Give all nodes the same value"), "{said}");
    second.signal(nix::sys::signal::Signal::SIGTERM);
    let (code, _, log) = second.wait();
    assert_eq!(code, Some(0), "{log}");
    let warnings = |setting: &str| {
        let words = format!("live nodes on this database have different settings: {setting} is ");
        log.lines().filter(|line| line.contains(&words)).count()
    };
    assert_eq!((warnings("DOORWARD_ACCESS_TOKEN_TTL"), warnings("DOORWARD_AUDIENCES")), (1, 1), "{log}");
    // The second node has left, and returns with the same settings as the others.
    assert!(fleet.nodes_finding().1.starts_with("one node is live: "));
    let _second = fleet.serve_second("60m");
    assert_eq!(fleet.nodes_finding(), ("pass".into(), "2 nodes are live, and share their settings".into()));
}

#[test]
fn doctor_fails_when_live_nodes_have_different_public_urls() {
    let fleet = Fleet::new();
    let _first = fleet.serve_first("5m");
    let mut second = fleet.second_command("5m");
    second.env("DOORWARD_PUBLIC_URL", "http://other.test");
    let _second = fleet.second.serve_as(second);
    let (level, found) = fleet.nodes_finding();
    let expected = "live nodes differ: DOORWARD_PUBLIC_URL is http://doorward.test on ";
    assert!(level == "fail" && found.starts_with(expected), "{level}: {found}");
}
