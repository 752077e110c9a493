//! `doorward explain` and `doorward doctor`, with and without a running server.

use std::io::Write;
use std::process::{Output, Stdio};

use doorward_test::PASSWORD;
use serde_json::{Value, json};

use crate::support::{Folder, ask};

/// Runs a command with this standard input.
fn run_with(folder: &Folder, arguments: &[&str], input: &str) -> Output {
    let mut command = folder.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Creates a member and signs in. Returns the access token and the refresh token.
fn signed_in(folder: &Folder, server: &crate::support::Server) -> (String, String) {
    let made: Value =
        serde_json::from_str(&folder.ok(&["user", "add", "alice", "--generate", "--json"])).unwrap();
    let (status, tokens) = server.login("alice", made["password"].as_str().unwrap());
    assert_eq!(status, 200, "{tokens}");
    let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
    (token("access_token"), token("refresh_token"))
}

#[test]
fn request_id_explains_who_ended_the_session_and_when() {
    let folder = Folder::new();
    let server = folder.serve();
    let (access, _) = signed_in(&folder, &server);
    let (_, admin) = server.login("admin", PASSWORD);
    let admin = admin["access_token"].as_str().unwrap();
    let user = server.get("/api/v1/me", &access).1["id"].as_str().unwrap().to_owned();
    let ended = ask(folder.port, "DELETE", &format!("/api/v1/users/{user}/sessions"), "", Some(admin));
    assert_eq!(ended.0, 204, "{}", ended.1);
    let (_, refused) = server.get("/api/v1/notes", &access);
    let (id, at) = (refused["request_id"].as_str().unwrap(), refused["ended_at"].as_str().unwrap());

    let told = folder.ok(&["explain", id]);
    for said in
        ["✗ session_ended", "GET /api/v1/notes", "of alice", "✗ session", "ended by admin", "by admin", at]
    {
        assert!(told.contains(said), "{said} in {told}");
    }
    assert!(!told.contains('\u{1b}'), "no colours where nobody looks: {told}");
    let told: Value = serde_json::from_str(&folder.ok(&["explain", id, "--json"])).unwrap();
    assert_eq!((&told["problem"]["code"], &told["verdict"]), (&json!("session_ended"), &json!("refused")));
    let unknown = folder.fails(&["explain", "0192d7a0-0000-7000-8000-000000000000"]);
    assert!(unknown.contains("No refusal is kept"), "{unknown}");
}

#[test]
fn token_on_standard_input_is_explained_without_a_server() {
    let folder = Folder::new();
    let server = folder.serve();
    let (access, refresh) = signed_in(&folder, &server);
    drop(server);
    let good = run_with(&folder, &["explain"], &format!("Authorization: Bearer {access}\n"));
    assert!(good.status.success(), "{}", text(&good.stderr));
    let good = text(&good.stdout);
    assert!(good.starts_with("✓ accepted") && good.contains("signed in (api session)"), "{good}");
    let may = run_with(&folder, &["explain", "-", "--method", "get", "--path", "/api/v1/users"], &access);
    let may = text(&may.stdout);
    assert!(may.contains("✗ permission_denied") && may.contains("requires users:read"), "{may}");
    let lives = text(&run_with(&folder, &["explain"], &refresh).stdout);
    assert!(lives.starts_with("? the session is active"), "{lives}");
    let nothing = run_with(&folder, &["explain"], "");
    assert_eq!(nothing.status.code(), Some(1));
    assert!(text(&nothing.stderr).contains("standard input was empty"));
    assert!(folder.fails(&["explain", "x", "--method", "GET", "--path", "http://h/"]).contains("--path"));
}

#[test]
fn doctor_passes_on_a_healthy_server() {
    let folder = Folder::new();
    let _server = folder.serve();
    let findings: Vec<Value> = serde_json::from_str(&folder.ok(&["doctor", "--json"])).unwrap();
    let level = |check: &str| {
        let found = findings.iter().find(|finding| finding["check"] == check);
        found.unwrap_or_else(|| panic!("no {check} in {findings:?}"))["level"].as_str().unwrap()
    };
    for check in [
        "database",
        "connections",
        "clock",
        "migrations",
        "feed",
        "secret key",
        "signing keys",
        "public URL",
        "published keys",
        "proxy",
    ] {
        assert_eq!(level(check), "pass", "{check}: {findings:?}");
    }
    let shown = folder.ok(&["doctor"]);
    assert!(shown.contains("pass  database") && shown.contains("is the issuer"), "{shown}");
}

#[test]
fn doctor_reports_problems_with_advice() {
    let folder = Folder::new();
    let wrong = folder.command(&["doctor"]).env("DOORWARD_BCRYPT_COST", "99").output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    let said = text(&wrong.stdout);
    assert!(said.contains("fail  settings") && said.contains("DOORWARD_BCRYPT_COST"), "{said}");

    let nowhere =
        folder.command(&["doctor"]).env("DATABASE_URL", "postgresql:///x?host=/nowhere").output().unwrap();
    let said = text(&nowhere.stdout);
    assert_eq!(nowhere.status.code(), Some(1), "{said}");
    assert!(said.contains("fail  database") && said.contains("DATABASE_URL"), "{said}");

    let server = folder.serve();
    let key = folder
        .command(&["doctor"])
        .env("DOORWARD_SECRET_KEY", "another-key-that-is-as-long-as-it-has-to-be")
        .output();
    let said = text(&key.unwrap().stdout);
    assert!(said.contains("fail  secret key"), "{said}");
    let elsewhere =
        folder.command(&["doctor"]).env("DOORWARD_PUBLIC_URL", "http://127.0.0.1:9").output().unwrap();
    let said = text(&elsewhere.stdout);
    assert!(said.contains("warn  public URL") && said.contains("does not answer"), "{said}");
    assert_eq!(elsewhere.status.code(), Some(0), "a warning is no failure");
    drop(server);
    let stopped = text(&folder.run(&["doctor"]).stdout);
    assert!(stopped.contains("pass  database") && stopped.contains("warn  public URL"), "{stopped}");
}

#[test]
fn simplejwt_refusal_is_explained_with_its_code_and_counted() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("doorward.toml"), "simplejwt_routes = \"on\"\n").unwrap();
    let server = folder.serve();
    let url = format!("http://127.0.0.1:{}/api/token/", folder.port);
    let refused = std::process::Command::new("curl")
        .args(["-s", "-i", "-d", "username=admin", "-d", "password=wrong, but long enough", &url])
        .output()
        .unwrap();
    let refused = text(&refused.stdout);
    assert!(refused.contains("No active account found with the given credentials"), "{refused}");
    let id = refused.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap().trim();
    let told = folder.ok(&["explain", id]);
    for said in ["✗ invalid_credentials", "POST /api/token/", "401"] {
        assert!(told.contains(said), "{said} in {told}");
    }
    let metrics = folder.metrics();
    assert!(metrics.contains("doorward_refusals_total{code=\"invalid_credentials\""), "{metrics}");
    drop(server);
    assert!(folder.ok(&["openapi"]).contains("/api/token/blacklist/"));
}
