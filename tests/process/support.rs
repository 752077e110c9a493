//! A data folder, and the program that runs on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use doorward_test::PASSWORD;
use doorward_test::machine::{self, free_port};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A data folder that PostgreSQL's user can reach, with the program's settings for it.
pub struct Folder {
    folder: tempfile::TempDir,
    pub port: u16,
    metrics_port: u16,
}

impl Folder {
    pub fn new() -> Self {
        Self { folder: machine::folder(), port: free_port(), metrics_port: free_port() }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        let environment: Vec<_> = std::env::vars()
            .filter(|(name, _)| name.starts_with("DOORWARD") || name == "DATABASE_URL")
            .collect();
        for (name, _) in environment {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("DOORWARD_DATA_DIR", self.data_dir())
            .env("DOORWARD_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("DOORWARD_METRICS_LISTEN", format!("127.0.0.1:{}", self.metrics_port))
            .env("DOORWARD_ADMIN_PASSWORD", PASSWORD)
            .env("DOORWARD_BCRYPT_COST", "10")
            .env("DOORWARD_LOG", "warn")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and returns its output.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with exit code 1, and returns its only error line.
    #[track_caller]
    pub fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let complaint: Vec<&str> = said.lines().filter(|line| line.starts_with("doorward: ")).collect();
        assert_eq!(complaint.len(), 1, "{said}");
        complaint[0].to_owned()
    }

    /// Starts the server and waits until it is ready.
    pub fn serve(&self) -> Server {
        self.serve_as(self.command(&["serve"]))
    }

    /// Starts the server with this limit of open files, and waits until it is ready.
    pub fn serve_with_files(&self, most: u32) -> Server {
        let server = self.command(&["serve"]);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {most} && exec \"$0\" serve")]).arg(server.get_program());
        for (name, value) in server.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        limited.current_dir(self.path()).stdin(Stdio::null());
        self.serve_as(limited)
    }

    pub fn serve_as(&self, mut command: Command) -> Server {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let server = Server { child: Some(child), port: self.port };
        server.wait_until_ready();
        server
    }

    /// Waits until a server that was started on this folder is ready.
    pub fn wait_until_ready(&self) {
        Server { child: None, port: self.port }.wait_until_ready();
    }

    /// Returns the process ID of PostgreSQL's main process on this folder.
    pub fn postmaster(&self) -> Option<i32> {
        let text = fs::read_to_string(self.data_dir().join("postgres/postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    pub fn metrics(&self) -> String {
        ask(self.metrics_port, "GET", "/metrics", "", None).1
    }
}

/// A running server. Dropping it kills the process if it still runs.
pub struct Server {
    child: Option<Child>,
    pub port: u16,
}

impl Server {
    pub fn pid(&self) -> i32 {
        self.child.as_ref().unwrap().id().cast_signed()
    }

    pub fn wait_until_ready(&self) {
        let started = Instant::now();
        while !self.is_ready() {
            assert!(started.elapsed() < Duration::from_secs(60), "not ready in time");
            pause();
        }
    }

    pub fn is_ready(&self) -> bool {
        std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
            && ask(self.port, "GET", "/readyz", "", None).0 == 200
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Returns the exit code if the process has ended. Does not read its output.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        self.child.as_mut().unwrap().try_wait().unwrap().map(|status| status.code())
    }

    /// Waits until the process ends. Returns its exit code, its output and its error output.
    pub fn wait(mut self) -> (Option<i32>, String, String) {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, text) = ask(self.port, "POST", path, &body.to_string(), None);
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    pub fn get(&self, path: &str, token: &str) -> (u16, Value) {
        let (status, text) = ask(self.port, "GET", path, "", Some(token));
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Waits until the request is refused, which should take at most a second unless the machine is too busy.
    /// Returns the refusal.
    pub fn refused(&self, path: &str, token: &str) -> Value {
        let started = Instant::now();
        loop {
            let (status, answer) = self.get(path, token);
            if status == 401 {
                return answer;
            }
            assert!(started.elapsed() < Duration::from_secs(10), "it is let in: {answer}");
            pause();
        }
    }

    pub fn login(&self, username: &str, password: &str) -> (u16, Value) {
        self.post("/api/v1/auth/login", &serde_json::json!({ "username": username, "password": password }))
    }

    pub fn refresh(&self, token: &str) -> (u16, Value) {
        self.post("/api/v1/auth/refresh", &serde_json::json!({ "refresh_token": token }))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
            let _ = child.wait();
        }
    }
}

pub fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// Sends one request on a new connection. The status is 0 if there was no response.
pub fn ask(port: u16, method: &str, path: &str, body: &str, token: Option<&str>) -> (u16, String) {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return (0, String::new()) };
    let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{bearer}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut answer = Vec::new();
    if stream.write_all(request.as_bytes()).is_err() || stream.read_to_end(&mut answer).is_err() {
        return (0, String::new());
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}
