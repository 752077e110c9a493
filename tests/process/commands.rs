//! Commands with and without a running server.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use doorward_test::PASSWORD;
use serde_json::Value;

use crate::support::{Folder, ask};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn users_are_managed_beside_a_running_server() {
    let folder = Folder::new();
    let server = folder.serve();
    let made =
        json(&folder.ok(&["user", "add", "alice", "--email", "al@example.org", "--generate", "--json"]));
    let password = made["password"].as_str().unwrap();
    let (status, tokens) = server.login("AL@example.org", password);
    assert_eq!(status, 200, "{tokens}");
    let access = tokens["access_token"].as_str().unwrap();
    assert!(folder.ok(&["user", "list"]).contains("alice"));
    assert_eq!(json(&folder.ok(&["user", "list", "-q", "ALI", "--json"]))[0]["username"], "alice");
    let nobodys = "x".repeat(2_000);
    assert!(folder.ok(&["user", "list", "-q", &nobodys]).contains("There are no such users"));
    assert_eq!(json(&folder.ok(&["user", "show", "alice", "--json"]))["sessions"], 1);

    folder.ok(&["user", "set-role", "alice", "viewer"]);
    let (status, refused) = server.get("/api/v1/me", access);
    assert_eq!((status, &refused["code"]), (401, &"token_revoked".into()), "in force for the next request");
    let (_, tokens) = server.refresh(tokens["refresh_token"].as_str().unwrap());
    let (access, refresh) =
        (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    assert_eq!(server.get("/api/v1/me", access).1["role"], "viewer");
    folder.ok(&["user", "disable", "alice"]);
    assert_eq!(server.refresh(refresh).1["code"], "account_disabled");
    folder.ok(&["user", "enable", "alice"]);
    folder.ok(&["user", "logout", "alice"]);
    assert_eq!(server.refresh(refresh).1["code"], "session_ended");

    let mut set = folder.command(&["user", "set-password", "alice", "--password-stdin"]);
    let mut set = set.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    set.stdin.take().unwrap().write_all(b"quite another phrase\n").unwrap();
    assert!(set.wait().unwrap().success());
    assert_eq!(server.login("alice", "quite another phrase").0, 200);
    assert!(folder.fails(&["user", "delete", "alice"]).contains("--yes"));
    folder.ok(&["user", "delete", "alice", "--yes"]);
    assert!(folder.fails(&["user", "show", "alice"]).contains("there is no user alice"));
    assert!(folder.fails(&["user", "disable", "admin"]).contains("last active administrator"));
    assert!(folder.fails(&["user", "add", "admin", "--generate"]).contains("already in use"));
    assert!(folder.fails(&["user", "set-role", "admin", "king"]).contains("no role king"));
}

#[test]
fn commands_end_sessions_and_tokens_when_requested() {
    let folder = Folder::new();
    let server = folder.serve();
    let made = json(&folder.ok(&["user", "add", "alice", "--generate", "--json"]));
    let mut password = made["password"].as_str().unwrap().to_owned();
    let token = |password: &str| {
        let (_, tokens) = server.login("alice", password);
        let access = tokens["access_token"].as_str().unwrap();
        let body = r#"{"name":"a script","scope":"notes:read"}"#;
        let (status, made) = ask(server.port, "POST", "/api/v1/me/tokens", body, Some(access));
        assert_eq!(status, 201, "{made}");
        let refresh = tokens["refresh_token"].as_str().unwrap().to_owned();
        (json(&made)["token"].as_str().unwrap().to_owned(), refresh)
    };
    let (personal, refresh) = token(&password);
    let said = folder.ok(&["user", "disable", "alice"]);
    assert!(said.contains("Enabling the account restores its sessions and personal tokens"), "{said}");
    assert_eq!(server.refused("/api/v1/me", &personal)["code"], "account_disabled");
    folder.ok(&["user", "enable", "alice"]);
    assert_eq!(server.refresh(&refresh).0, 200);
    let ended = json(&folder.ok(&["user", "disable", "alice", "--end-sessions", "--json"]));
    assert_eq!((&ended["status"], &ended["sessions_ended"]), (&"disabled".into(), &1.into()));
    folder.ok(&["user", "enable", "alice"]);
    assert_eq!(server.refresh(&refresh).1["code"], "session_ended");

    let set = |flags: &[&str]| {
        let command = [&["user", "set-password", "alice", "--generate"], flags].concat();
        (folder.ok(&command), json(&folder.ok(&[&command[..], &["--json"]].concat())))
    };
    let (said, kept) = set(&["--keep-tokens"]);
    assert!(said.contains("still valid") && kept.get("tokens_revoked").is_none(), "{said} {kept}");
    assert_eq!(server.get("/api/v1/notes", &personal).0, 200);
    let (said, _) = set(&[]);
    assert!(said.contains("1 personal tokens were revoked"), "{said}");
    assert_eq!(server.refused("/api/v1/notes", &personal)["reason"], "password_reset");

    password.clear();
    let again = json(&folder.ok(&["user", "set-password", "alice", "--generate", "--json"]));
    password.push_str(again["password"].as_str().unwrap());
    assert_eq!(again["tokens_revoked"], 0);
    let tokens = [token(&password).0, token(&password).0];
    let revoked = json(&folder.ok(&["token", "revoke", "--all-of", "alice", "--json"]));
    assert_eq!(revoked["revoked"], 2);
    for token in &tokens {
        assert_eq!(server.refused("/api/v1/notes", token)["reason"], "revoked_by_admin");
    }
    assert!(folder.ok(&["token", "revoke", "--all-of", "alice"]).contains("0 personal tokens"));
    assert!(folder.fails(&["token", "revoke", "--all-of", "nobody"]).contains("there is no user nobody"));
}

#[test]
fn keys_are_rotated_and_revoked_beside_a_running_server() {
    let folder = Folder::new();
    let server = folder.serve();
    let (_, tokens) = server.login("admin", PASSWORD);
    let kid = json(&folder.ok(&["key", "list", "--json"]))[0]["kid"].as_str().unwrap().to_owned();
    let new = json(&folder.ok(&["key", "rotate", "--json"]));
    assert_eq!(new["state"], "published");
    folder.ok(&["key", "revoke", &kid, "--yes"]);
    let refused = server.refused("/api/v1/me", tokens["access_token"].as_str().unwrap());
    assert_eq!(refused["code"], "token_signature_invalid");
    let states: Vec<String> = json(&folder.ok(&["key", "list", "--json"]))
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["state"].as_str().unwrap().to_owned())
        .collect();
    assert!(states.contains(&"signs".to_owned()) && states.contains(&"revoked".to_owned()), "{states:?}");
    assert!(folder.fails(&["key", "revoke", &kid, "--yes"]).contains("no signing key"));
}

#[test]
fn only_key_is_revoked_together_with_its_replacement() {
    let folder = Folder::new();
    let server = folder.serve();
    let (_, tokens) = server.login("admin", PASSWORD);
    let kid = json(&folder.ok(&["key", "list", "--json"]))[0]["kid"].as_str().unwrap().to_owned();
    // Without the secret key, no replacement can be created.
    let secret = folder.data_dir().join("secret.key");
    let kept = fs::read_to_string(&secret).unwrap();
    fs::write(&secret, "another secret key, of at least thirty-two characters\n").unwrap();
    assert!(folder.fails(&["key", "revoke", &kid, "--yes"]).contains("secret key"));
    assert!(folder.fails(&["key", "reseal"]).contains("secret key"));
    fs::write(&secret, kept).unwrap();
    assert_eq!(server.get("/api/v1/me", tokens["access_token"].as_str().unwrap()).0, 200, "not revoked");
    let made = json(&folder.ok(&["key", "revoke", &kid, "--yes", "--json"]))["new_signing_key"].clone();
    assert!(made.is_string(), "{made}");
    let refused = server.refused("/api/v1/me", tokens["access_token"].as_str().unwrap());
    assert_eq!(refused["code"], "token_signature_invalid");
    let (status, tokens) = server.refresh(tokens["refresh_token"].as_str().unwrap());
    assert_eq!(status, 200, "another key signs in the same moment: {tokens}");
    assert_eq!(server.get("/api/v1/me", tokens["access_token"].as_str().unwrap()).0, 200);
}

#[test]
fn restored_backup_brings_data_back_and_ends_all_sessions() {
    let folder = Folder::new();
    let server = folder.serve();
    let (_, tokens) = server.login("admin", PASSWORD);
    let file = folder.path().join("backup.dump");
    let file = file.to_str().unwrap();
    folder.ok(&["backup", file]);
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(folder.fails(&["backup", file]).contains("already exists"));
    let nowhere = folder.path().join("nowhere/auth.dump");
    let said = folder.fails(&["backup", nowhere.to_str().unwrap()]);
    assert!(said.contains(" does not exist") && said.contains("Create it (mkdir -p "), "{said}");
    folder.ok(&["user", "add", "later", "--generate"]);
    assert!(folder.fails(&["restore", file, "--yes"]).contains("stop it"));
    drop(server);
    assert!(folder.fails(&["restore", file]).contains("--yes"));
    let said = folder.ok(&["restore", file, "--yes"]);
    assert!(said.contains("Ended: 1 sessions, 0 personal tokens, 1 signing keys"), "{said}");
    assert!(!folder.ok(&["user", "list"]).contains("later"));
    let server = folder.serve();
    let (_, refused) = server.refresh(tokens["refresh_token"].as_str().unwrap());
    assert_eq!(
        (&refused["code"], &refused["reason"]),
        (&"session_ended".into(), &"database_restored".into())
    );
    assert_eq!(server.login("admin", PASSWORD).0, 200);
    fs::write(folder.path().join("junk"), "junk").unwrap();
    drop(server);
    let junk = folder.path().join("junk");
    assert!(!folder.run(&["restore", junk.to_str().unwrap(), "--yes"]).status.success());
    assert!(folder.ok(&["user", "list"]).contains("admin"), "as it was before");
}

#[test]
fn misconfiguration_stops_the_start_with_a_remedy() {
    let folder = Folder::new();
    let nothing = folder.fails(&["user", "list"]);
    assert!(nothing.contains("the data folder ") && nothing.contains(" does not exist"), "{nothing}");
    folder.ok(&["migrate"]);
    drop(folder.serve());
    let key = folder.data_dir().join("secret.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = fs::read_to_string(&key).unwrap();
    let named = folder.path().join("named.key");
    fs::write(&named, &kept).unwrap();
    fs::set_permissions(&named, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(folder.fails(&["serve", "--secret-key-file", named.to_str().unwrap()]).contains("chmod 600"));
    fs::remove_file(&key).unwrap();
    assert!(folder.fails(&["serve"]).contains("restore the file"));
    let other = ["serve", "--secret-key", "0123456789abcdef0123456789abcdef"];
    assert!(folder.fails(&other).contains("none of the secret keys matches this database"));
    // With the old key behind a new one, everything can be opened. After resealing, the new key suffices.
    let both = format!("0123456789abcdef0123456789abcdef,{}", kept.trim());
    folder.ok(&["key", "reseal", "--secret-key", &both]);
    folder.ok(&["key", "rotate", "--secret-key", "0123456789abcdef0123456789abcdef"]);

    let output = folder.run(&["serve", "--refresh-token-ttl", "never", "--bcrypt-cost", "99"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("DOORWARD_REFRESH_TOKEN_TTL") && said.contains("DOORWARD_BCRYPT_COST"),
        "all at once: {said}"
    );
    assert_eq!(folder.run(&["nonsense"]).status.code(), Some(2));
}

#[test]
fn wrong_looks_stop_the_start_with_a_remedy() {
    let folder = Folder::new();
    let logo = folder.path().join("logo.png");
    fs::write(&logo, "GIF89a").unwrap();
    let logo = logo.to_str().unwrap();
    for (setting, value, reason) in [
        ("--site-logo", logo, "neither a PNG nor an SVG image. Convert it"),
        ("--site-logo", "missing.svg", "it cannot be read: No such file"),
        ("--site-colour", "#ffcc00", "white text on it has a contrast of only 1.51:1; choose a darker one"),
        ("--site-support", "javascript:alert(1)", "it is neither an e-mail address nor such a URL"),
        ("--site-name", "", "it is empty"),
    ] {
        let said = folder.fails(&["serve", setting, value]);
        assert!(said.contains("DOORWARD_SITE_") && said.contains(reason), "{said}");
    }
    assert!(!folder.data_dir().exists(), "nothing was created");
    let examined = folder.run(&["doctor", "--site-logo", logo]);
    let said = String::from_utf8(examined.stdout).unwrap();
    assert!(said.contains("fail  logo") && said.contains("Convert it"), "{said}");
}

#[test]
fn server_waits_for_an_absent_postgresql() {
    use nix::sys::signal::Signal;
    let folder = Folder::new();
    let mut command = folder.command(&["serve"]);
    command
        .env("DATABASE_URL", "postgresql:///x?host=/nowhere/at/all")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let started = std::time::Instant::now();
    while ask(folder.port, "GET", "/healthz", "", None).0 != 200 {
        assert!(started.elapsed().as_secs() < 20);
        crate::support::pause();
    }
    assert_eq!(ask(folder.port, "GET", "/readyz", "", None).0, 503);
    let (status, body) = ask(folder.port, "GET", "/api/v1/me", "", Some("anything"));
    assert_eq!((status, &json(&body)["code"]), (503, &"database_unavailable".into()));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn metrics_count_requests_and_the_log_contains_no_secrets() {
    let folder = Folder::new();
    let mut command = folder.command(&["serve", "--log", "debug"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let started = std::time::Instant::now();
    while ask(folder.port, "GET", "/readyz", "", None).0 != 200 {
        assert!(started.elapsed().as_secs() < 30);
        crate::support::pause();
    }
    let body = format!("{{\"username\":\"admin\",\"password\":\"{PASSWORD}\"}}");
    let (_, tokens) = ask(folder.port, "POST", "/api/v1/auth/login", &body, None);
    let tokens = json(&tokens);
    let (access, refresh) =
        (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    ask(folder.port, "GET", "/api/v1/me", "", Some(access));
    ask(folder.port, "GET", &format!("/api/v1/me?access_token={access}"), "", Some("dwp_nonsense"));
    ask(folder.port, "POST", "/api/v1/auth/refresh", &format!("{{\"refresh_token\":\"{refresh}\"}}"), None);
    let metrics = folder.metrics();
    for line in [
        "doorward_requests_total{method=\"GET\",route=\"/api/v1/me\",status=\"200\"} 1",
        "doorward_refusals_total{code=\"token_malformed\",check=\"form\"} 1",
        "doorward_password_verify_seconds_count 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(child.id().cast_signed()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("\"code\":\"token_malformed\"") && log.contains("\"session\":"), "{log}");
    for secret in [PASSWORD, access, refresh, "dwp_nonsense", "$bcrypt"] {
        assert!(!log.contains(secret), "{secret} in the log");
    }
}

#[test]
fn settings_page_equals_the_output_of_config() {
    let page = include_str!("../../docs/settings.md");
    let printed = Folder::new().ok(&["config", "--markdown"]);
    assert!(page == printed, "run `doorward config --markdown >docs/settings.md`");
}

#[test]
fn readme_example_requests_return_the_documented_results() {
    let folder = Folder::new();
    let server = folder.serve();
    let readme = include_str!("../../README.md");
    let block = readme.split("```sh\n").find(|block| block.starts_with("PASSWORD=")).unwrap();
    let script = block.split("```").next().unwrap();
    let script = script
        .replace("what the server printed", PASSWORD)
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{}", server.port))
        .replace("curl -s ", "curl -s -w '\\n' ");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let codes: Vec<Value> = said.lines().filter(|line| !line.is_empty()).map(json).collect();
    assert_eq!(codes[0]["code"], "credentials_missing", "{said}");
    assert_eq!(codes[1]["title"], "Groceries", "{said}");
    assert_eq!(codes[2]["code"], "session_ended", "{said}");
}
