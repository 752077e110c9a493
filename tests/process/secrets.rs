//! Uses every kind of secret, correctly and incorrectly, on a server that logs everything. None of them
//! appears in its output, its metrics, or any file of its data folder.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use doorward_test::PASSWORD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::support::{Folder, ask, pause};

/// A client that records every secret it meets, and stores cookies.
struct Client {
    port: u16,
    secrets: Vec<String>,
    cookies: Vec<(String, String)>,
}

struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn member(&self, name: &str) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.body)).to_owned()
    }
}

impl Client {
    fn knows(&mut self, secret: &str) -> String {
        assert!(secret.len() >= 12, "{secret} could stand anywhere");
        self.secrets.push(secret.to_owned());
        secret.to_owned()
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        for line in head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")) {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(other, _)| other != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
                self.knows(value);
            }
        }
        Answer { status, body: body.to_owned() }
    }

    fn json(&mut self, path: &str, token: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        let headers = if token.is_empty() { &headers[..1] } else { &headers[..] };
        self.send("POST", path, headers, &body.to_string())
    }

    fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, "")
    }

    fn page(&mut self, path: &str) -> Answer {
        let cookie = self.cookie();
        self.get(path, &[("cookie", &cookie), ("accept", "text/html")])
    }

    fn cookie(&self) -> String {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    /// Returns the CSRF token of a page's form.
    fn form_token(&mut self, path: &str) -> String {
        let page = self.page(path).body;
        let rest = page.split_once("name=\"csrf_token\" value=\"").unwrap_or_else(|| panic!("{page}")).1;
        self.knows(rest.split('"').next().unwrap())
    }

    fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let cookie = self.cookie();
        let headers = [
            ("cookie", cookie.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
            ("accept", "text/html"),
        ];
        self.send("POST", path, &headers, &body)
    }

    fn tokens(&mut self, answer: &Answer) -> (String, String) {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let (access, refresh) = (answer.member("access_token"), answer.member("refresh_token"));
        (self.knows(&access), self.knows(&refresh))
    }
}

/// Returns the token with another letter in the middle.
fn altered(token: &str) -> String {
    let at = token.len() / 2;
    let other = if token[at..].starts_with('A') { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

fn passwords(client: &mut Client) {
    let wrong = client.knows("a wrong pass phrase 1");
    let login = "/api/v1/auth/login";
    for (username, password) in [("admin", wrong.as_str()), ("nobody", &wrong), ("", PASSWORD)] {
        client.json(login, "", &json!({ "username": username, "password": password }));
    }
    let answer = client.json(login, "", &json!({ "username": "admin", "password": PASSWORD }));
    let (access, _) = client.tokens(&answer);
    // These bodies are refused for other reasons.
    let json = [("content-type", "application/json")];
    client.send("POST", login, &json, &format!("{{\"username\":\"admin\",\"password\":\"{PASSWORD}\""));
    client.send(
        "POST",
        login,
        &json,
        &format!("{{\"password\":\"{PASSWORD}\",\"password\":\"{PASSWORD}\"}}"),
    );
    client.send("POST", login, &json, &format!("{{\"username\":\"admin\",\"password\":[\"{PASSWORD}\"]}}"));
    client.send("POST", login, &[("content-type", "text/plain")], PASSWORD);
    client.send("POST", login, &json, &format!("{PASSWORD}{}", " ".repeat(70_000)));
    let alices = client.knows("alices own pass phrase");
    let made = client.json("/api/v1/users", &access, &json!({ "username": "alice", "password": alices }));
    assert_eq!(made.status, 201, "{}", made.body);
    client.json("/api/v1/users", &access, &json!({ "username": "alice", "password": alices }));
    let short = client.knows("passwordpassword");
    client.json("/api/v1/users", &access, &json!({ "username": "bob", "password": short }));
    let answer = client.json(login, "", &json!({ "username": "alice", "password": alices }));
    let (access, _) = client.tokens(&answer);
    for current in [&wrong, &alices] {
        let new = client.knows("alices new pass phrase");
        let change = json!({ "current_password": current, "new_password": new, "revoke_tokens": true });
        client.json("/api/v1/me/password", &access, &change);
        client.json("/api/v1/auth/step-up", &access, &json!({ "password": current }));
    }
}

fn tokens(client: &mut Client) {
    let answer = client.json("/api/v1/auth/login", "", &json!({ "username": "admin", "password": PASSWORD }));
    let (access, first) = client.tokens(&answer);
    let refresh = |client: &mut Client, token: &str| {
        client.json("/api/v1/auth/refresh", "", &json!({ "refresh_token": token }))
    };
    let answer = refresh(client, &first);
    let (second_access, second) = client.tokens(&answer);
    let made = json!({ "name": "a script", "scope": "notes:read" });
    let personal = client.json("/api/v1/me/tokens", &access, &made);
    assert_eq!(personal.status, 201, "{}", personal.body);
    let id = personal.member("id");
    let personal = client.knows(&personal.member("token"));
    for token in [
        access.clone(),
        altered(&access),
        second.clone(),
        altered(&second),
        personal.clone(),
        altered(&personal),
    ] {
        client.knows(&token);
        refresh(client, &token);
        for explained in
            [token.clone(), format!("curl -H 'Authorization: Bearer {token}' http://x/api/v1/me")]
        {
            client.json("/api/v1/auth/explain", "", &json!({ "token": explained }));
            client.json("/api/v1/auth/explain", &second_access, &json!({ "token": explained }));
        }
        let basic =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("admin:{token}"));
        client.knows(&basic);
        for value in [
            format!("Bearer {token}"),
            format!("bearer  {token}"),
            format!("Bearer {token} {token}"),
            format!("Token {token}"),
            token.clone(),
            format!("Basic {basic}"),
            format!("Basic {token}"),
        ] {
            client.get("/api/v1/notes", &[("authorization", &value)]);
            client.get("/api/v1/me", &[("authorization", &value), ("x-doorward-trace", "1")]);
        }
        client.get(&format!("/api/v1/me?access_token={token}&token={token}"), &[]);
        client.get("/api/v1/me", &[("cookie", &format!("doorward={token}; other={token}"))]);
        client.get("/api/v1/me", &[("x-csrf-token", &token), ("cookie", &format!("doorward-form={token}"))]);
        client.get(
            "/api/v1/me",
            &[("authorization", &format!("Bearer {token}")), ("authorization", "Bearer x")],
        );
        for path in ["/api/token/verify/", "/api/token/refresh/", "/api/token/blacklist/"] {
            client.json(path, "", &json!({ "token": token, "refresh": altered(&token) }));
        }
        // These are no valid HTTP requests, or none that the parser accepts.
        client.get(&format!("/x {token}"), &[]);
        client.send("GET", "/x", &[("content-length", &token)], "");
    }
    let pair = client.json("/api/token/", "", &json!({ "username": "admin", "password": PASSWORD }));
    for name in ["access", "refresh"] {
        let token = pair.member(name);
        client.knows(&token);
    }
    client.send(
        "DELETE",
        &format!("/api/v1/me/tokens/{id}"),
        &[("authorization", &format!("Bearer {second_access}"))],
        "",
    );
    client.get("/api/v1/notes", &[("authorization", &format!("Bearer {personal}"))]);
    client.json("/api/v1/auth/logout", "", &json!({ "refresh_token": second }));
    client.get("/api/v1/notes", &[("authorization", &format!("Bearer {second_access}"))]);
    refresh(client, &second);
}

fn browsers(client: &mut Client) {
    let token = client.form_token("/login");
    for password in ["a wrong pass phrase 2", PASSWORD] {
        client.knows(password);
        client.form(
            "/login",
            &[("csrf_token", &altered(&token)), ("username", "admin"), ("password", password)],
        );
        client.form("/login", &[("csrf_token", &token), ("username", "admin"), ("password", password)]);
    }
    assert!(client.cookies.iter().any(|(name, _)| name == "doorward"), "{:?}", client.cookies);
    let token = client.form_token("/account/password");
    let new = client.knows("a new one that is not used");
    for (current, again) in [("a wrong pass phrase 2", new.as_str()), (PASSWORD, "another than above")] {
        let fields = [
            ("csrf_token", token.as_str()),
            ("current_password", current),
            ("new_password", &new),
            ("again", again),
        ];
        client.form("/account/password", &fields);
    }
    let forged: Vec<(String, String)> =
        client.cookies.iter().map(|(name, value)| (name.clone(), altered(value))).collect();
    let good = std::mem::replace(&mut client.cookies, forged);
    client.page("/account");
    client.cookies = good;
    let fields = [("csrf_token", token.as_str()), ("name", "x"), ("scope", "notes:read"), ("days", "7")];
    let page = client.form("/account/tokens/new", &fields).body;
    let made = page.split_once("dwp_").unwrap_or_else(|| panic!("{page}")).1;
    let made: String = made.chars().take_while(char::is_ascii_alphanumeric).collect();
    client.knows(&format!("dwp_{made}"));
    client.form("/logout", &[("csrf_token", &token)]);
}

fn links(client: &mut Client) {
    let answer = client.json("/api/v1/auth/login", "", &json!({ "username": "admin", "password": PASSWORD }));
    let (access, _) = client.tokens(&answer);
    let user = client.json("/api/v1/users", &access, &json!({ "username": "carol" }));
    let id = user.member("id");
    let link = client.json(&format!("/api/v1/users/{id}/password"), &access, &json!({ "link": true }));
    assert!(link.status < 300, "{}", link.body);
    let token = link.body.split_once("/set-password/").unwrap_or_else(|| panic!("{}", link.body)).1;
    let token: String = token.chars().take_while(|letter| *letter != '"').collect();
    client.knows(&token);
    let path = format!("/set-password/{token}");
    let new = client.knows("carols own pass phrase");
    assert_eq!(client.page(&path).status, 200);
    client.page(&format!("/set-password/{}", altered(&token)));
    client.send("DELETE", &path, &[], "");
    for again in ["something other than that", new.as_str(), &new] {
        client.form(&path, &[("new_password", &new), ("again", again)]);
    }
    assert_eq!(client.page(&path).status, 404, "spent");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let of = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files(&entry.path()),
        Ok(kind) if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    };
    entries.flat_map(of).collect()
}

#[test]
fn secrets_are_never_printed_counted_or_stored() {
    let folder = Folder::new();
    let mut command = folder.command(&["serve"]);
    command.env("DOORWARD_LOG", "trace").env("DOORWARD_SIMPLEJWT_ROUTES", "on");
    let (out, errors) = (folder.path().join("out"), folder.path().join("errors"));
    command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&errors).unwrap());
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while ask(folder.port, "GET", "/readyz", "", None).0 != 200 {
        assert!(started.elapsed() < Duration::from_secs(60));
        pause();
    }
    let mut client = Client { port: folder.port, secrets: Vec::new(), cookies: Vec::new() };
    client.knows(PASSWORD);
    passwords(&mut client);
    tokens(&mut client);
    browsers(&mut client);
    links(&mut client);
    let metrics = folder.metrics();
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
    let key = fs::read_to_string(folder.data_dir().join("secret.key")).unwrap();
    client.knows(key.trim());
    client.secrets.sort();
    client.secrets.dedup();
    assert!(client.secrets.len() > 30, "{}", client.secrets.len());

    let mut places = vec![("the metrics".to_owned(), metrics)];
    let key_file = folder.data_dir().join("secret.key");
    let stored = files(&folder.data_dir()).into_iter().filter(|path| *path != key_file);
    for path in stored.chain([out, errors]) {
        // Bytes that are not text are replaced, but every secret is ASCII.
        let bytes = fs::read(&path).unwrap();
        places.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    let log = &places.last().unwrap().1;
    assert!(log.contains("\"code\":\"token_signature_invalid\"") && log.contains("DEBUG"), "it logged");
    for (place, text) in &places {
        for secret in &client.secrets {
            if let Some(at) = text.find(secret.as_str()) {
                let around: String = text[at..].chars().take(300).collect();
                panic!("{secret} stands in {place}: {around}");
            }
        }
    }
}
