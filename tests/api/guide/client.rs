//! The guide's four clients behind a common interface, each exactly as printed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use doorward_test::PASSWORD;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::printed;

/// The folder of the printed files.
pub const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples");
const DRIVERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/guide");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Shell,
    Python,
    JavaScript,
    Rust,
}

/// A client's report of a response.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientResult {
    Answer(Value),
    /// The user must sign in again, for this reason.
    SignInAgain(String),
    /// Another refusal: the next action, and the reason.
    Refused(String, String),
    /// There was no response from doorward.
    Fault(String),
}

impl ClientResult {
    #[track_caller]
    pub fn answer(&self) -> &Value {
        match self {
            Self::Answer(body) => body,
            other => panic!("{other:?}"),
        }
    }

    /// Checks that the user must sign in again for this reason.
    #[track_caller]
    pub fn sign_in_again(&self, why: &str) {
        assert!(matches!(self, Self::SignInAgain(text) if text.contains(why)), "{why}: {self:?}");
    }
}

/// A client with its storage.
pub struct Client {
    language: Language,
    base: String,
    folder: TempDir,
    run: Run,
}

enum Run {
    Processes,
    Driver(Arc<Mutex<Driver>>),
    Here(Box<printed::Doorward>),
}

struct Driver {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Client {
    pub fn new(language: Language, base: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::begin(language, base, &folder.path().join("kept"));
        Self { language, base: base.to_owned(), folder, run }
    }

    /// Restarts the program with what it has stored.
    pub fn restart(&mut self) {
        self.run = Run::begin(self.language, &self.base, &self.kept());
    }

    /// Returns the path of the stored refresh token.
    pub fn kept(&self) -> PathBuf {
        self.folder.path().join("kept")
    }

    /// Returns the stored refresh token.
    pub fn stored(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.kept()).ok()?;
        match self.language {
            Language::Shell => {
                serde_json::from_str::<Value>(&text).unwrap()["refresh_token"].as_str().map(str::to_owned)
            }
            _ => Some(text),
        }
    }

    pub async fn sign_in(&self) -> ClientResult {
        self.one(json!({ "do": "sign_in", "password": PASSWORD })).await
    }

    pub async fn step_up(&self, password: &str) -> ClientResult {
        self.one(json!({ "do": "step_up", "password": password })).await
    }

    pub async fn sign_out(&self) -> ClientResult {
        self.one(json!({ "do": "sign_out" })).await
    }

    pub async fn get(&self, path: &str) -> ClientResult {
        self.call("GET", path, Value::Null).await
    }

    pub async fn call(&self, method: &str, path: &str, body: Value) -> ClientResult {
        self.one(json!({ "do": "call", "method": method, "path": path, "json": body, "times": 1 })).await
    }

    /// Makes the call this many times at once.
    pub async fn get_at_once(&self, times: usize, path: &str) -> Vec<ClientResult> {
        self.run(json!({ "do": "call", "method": "GET", "path": path, "json": null, "times": times })).await
    }

    async fn one(&self, asked: Value) -> ClientResult {
        self.run(asked).await.remove(0)
    }

    async fn run(&self, asked: Value) -> Vec<ClientResult> {
        let times = asked["times"].as_u64().unwrap_or(1);
        match &self.run {
            Run::Processes => join_all((0..times).map(|_| self.process(&asked))).await,
            Run::Driver(driver) => {
                let driver = Arc::clone(driver);
                spawn_blocking(move || driver.lock().unwrap().exchange(&asked)).await.unwrap()
            }
            Run::Here(client) => join_all((0..times).map(|_| here(client, &asked))).await,
        }
    }

    async fn process(&self, asked: &Value) -> ClientResult {
        let mut shell = Command::new("sh");
        shell.arg(format!("{FOLDER}/client.sh")).env("no_proxy", "*");
        shell.env("DOORWARD_BASE", &self.base).env("DOORWARD_TOKENS", self.kept());
        let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        match text("do").as_str() {
            "sign_in" => shell.args(["login", "alice"]),
            "step_up" => shell.arg("step-up"),
            "sign_out" => shell.arg("logout"),
            _ => shell.args(["call", &text("method"), &text("path")]),
        };
        if !asked["json"].is_null() {
            shell.arg(asked["json"].to_string());
        }
        let input = text("password");
        spawn_blocking(move || told_by_process(shell, &input)).await.unwrap()
    }
}

impl Run {
    fn begin(language: Language, base: &str, kept: &Path) -> Self {
        let python = || {
            std::env::var("DOORWARD_TEST_PYTHON")
                .expect("DOORWARD_TEST_PYTHON is not set: run `make test`, or set it to what scripts/python-venv prints")
        };
        match language {
            Language::Shell => Self::Processes,
            Language::Python => Self::driver(&python(), "driver.py", base, kept),
            Language::JavaScript => Self::driver("node", "driver.mjs", base, kept),
            Language::Rust => {
                let (held, kept) = (std::fs::read_to_string(kept).ok(), kept.to_owned());
                let save = Box::new(move |refresh_token: Option<&str>| match refresh_token {
                    Some(refresh_token) => std::fs::write(&kept, refresh_token),
                    None if kept.exists() => std::fs::remove_file(&kept),
                    None => Ok(()),
                });
                Self::Here(Box::new(printed::Doorward::new(base, held, save).unwrap()))
            }
        }
    }

    fn driver(program: &str, driver: &str, base: &str, kept: &Path) -> Self {
        let mut command = Command::new(program);
        command.arg(format!("{DRIVERS}/{driver}")).args([FOLDER, base]).arg(kept).env("no_proxy", "*");
        // requests would send this password instead of a token.
        let home = kept.parent().unwrap();
        std::fs::write(home.join(".netrc"), "machine 127.0.0.1 login mallory password wrong").unwrap();
        command.env("HOME", home).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self::Driver(Arc::new(Mutex::new(Driver { child, input, output })))
    }
}

impl Driver {
    fn exchange(&mut self, asked: &Value) -> Vec<ClientResult> {
        writeln!(self.input, "{asked}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let result: Vec<Value> =
            serde_json::from_str(&line).expect("a line of JSON; standard error says what went wrong");
        result.into_iter().map(|result| read(&result)).collect()
    }
}

fn read(result: &Value) -> ClientResult {
    let text = |name: &str| result[name].as_str().unwrap_or_default().to_owned();
    match text("kind").as_str() {
        "answer" => ClientResult::Answer(result["body"].clone()),
        "sign_in" => ClientResult::SignInAgain(text("text")),
        "refused" => ClientResult::Refused(text("action"), text("text")),
        _ => ClientResult::Fault(text("text")),
    }
}

fn told_by_process(mut shell: Command, input: &str) -> ClientResult {
    let mut child =
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The client need not read its input.
    let _ = writeln!(child.stdin.take().unwrap(), "{input}");
    let output = child.wait_with_output().unwrap();
    let (said, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match (output.status.code(), why.rsplit_once("; next: ")) {
        (Some(0), _) => ClientResult::Answer(serde_json::from_str(&said).unwrap_or_default()),
        (Some(3), _) => ClientResult::SignInAgain(why.into_owned()),
        (Some(1), Some((_, rest))) => {
            ClientResult::Refused(rest.split(')').next().unwrap().to_owned(), why.into_owned())
        }
        _ => ClientResult::Fault(why.into_owned()),
    }
}

async fn here(client: &printed::Doorward, asked: &Value) -> ClientResult {
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    let done = match text("do") {
        "sign_in" => client.sign_in("alice", text("password"), "the guide").await.map(|()| Value::Null),
        "step_up" => client.step_up(text("password")).await.map(|()| Value::Null),
        "sign_out" => client.sign_out().await.map(|()| Value::Null),
        _ => {
            let method = Method::from_bytes(text("method").as_bytes()).unwrap();
            let body = Some(&asked["json"]).filter(|body| !body.is_null());
            client.call(method, text("path"), body).await.map(|answer| answer.body)
        }
    };
    match done {
        Ok(body) => ClientResult::Answer(body),
        Err(error) => match &error {
            printed::Error::Refused(why) if why.action == "login" => {
                ClientResult::SignInAgain(error.to_string())
            }
            printed::Error::Refused(why) => ClientResult::Refused(why.action.clone(), error.to_string()),
            _ => ClientResult::Fault(error.to_string()),
        },
    }
}
