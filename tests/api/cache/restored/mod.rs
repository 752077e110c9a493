//! A database that was reset to an earlier state. Everything that was ended since then is valid again, until
//! `doorward restored` ends it.

mod command;
mod node;

use std::process::{Command, Output};

use doorward_test::machine::postgres_programs;
use doorward_test::{Answer, Browser, Tokens, World, refused_in_time};
use reqwest::Method;
use serde_json::{Value, json};

/// Runs a command while the server runs.
fn run(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DOORWARD")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir("/").stdin(std::process::Stdio::null());
    command.env("DATABASE_URL", &world.database.url);
    command.env("DOORWARD_SECRET_KEY", "a-secret-key-that-only-the-tests-have").output().unwrap()
}

#[track_caller]
fn told(world: &World, arguments: &[&str]) -> Value {
    let output = run(world, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs one of PostgreSQL's programs on the test's database.
fn postgres(world: &World, program: &str, arguments: &[&str]) {
    let mut command = Command::new(postgres_programs().join(program));
    let output = command.arg("--dbname").arg(&world.database.url).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A copy of the database, which replaces it while the server runs.
struct Backup(tempfile::TempDir);

impl Backup {
    fn make(world: &World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        postgres(world, "pg_dump", &["--format=custom", "--file", &Self::file(&folder)]);
        Self(folder)
    }

    fn put_back(&self, world: &World) {
        let arguments = ["--single-transaction", "--clean", "--if-exists", "--exit-on-error"];
        postgres(world, "pg_restore", &[arguments.as_slice(), &[&Self::file(&self.0)]].concat());
    }

    fn file(folder: &tempfile::TempDir) -> String {
        folder.path().join("dump").to_str().unwrap().to_owned()
    }
}

/// Every kind of credential of one account.
struct AccountCredentials<'a> {
    tokens: Tokens,
    browser: Browser<'a>,
    script: String,
    link: String,
}

async fn link_for(world: &World, admin: &Tokens, id: uuid::Uuid) -> String {
    let made =
        world.post(&format!("/api/v1/users/{id}/password"), &admin.access, json!({ "link": true })).await;
    assert_eq!(made.status, 200, "{}", made.body);
    made.text("link").strip_prefix(doorward_test::PUBLIC_URL).unwrap().to_owned()
}

impl<'a> AccountCredentials<'a> {
    async fn of(world: &'a World, name: &str, link: String) -> Self {
        let tokens = world.login(name).await;
        let (script, _) = world.personal_token(&tokens.access, "notes:read").await;
        Self { browser: Browser::signed_in(world, name).await, tokens, script, link }
    }

    /// Moves the credentials to another node.
    fn shown_to<'b>(self, world: &'b World) -> AccountCredentials<'b> {
        let Self { tokens, browser, script, link } = self;
        AccountCredentials { tokens, browser: Browser::with(world, browser.cookies), script, link }
    }

    async fn are_good(&mut self, world: &World) {
        assert_eq!(world.get("/api/v1/me", &self.tokens.access).await.status, 200);
        self.tokens = Tokens::of(&world.refresh(&self.tokens.refresh).await);
        assert_eq!(self.browser.get("/account").await.status, 200);
        assert_eq!(world.get("/api/v1/notes", &self.script).await.status, 200);
        assert_eq!(world.ask(Method::GET, &self.link).send().await.status, 200);
    }

    /// Checks that the credentials are refused. Returns the responses for the access, refresh and personal
    /// tokens.
    async fn are_refused(&mut self, world: &World, codes: [&str; 3]) -> [Answer; 3] {
        let access = refused_in_time(async || world.get("/api/v1/me", &self.tokens.access).await).await;
        let script = refused_in_time(async || world.get("/api/v1/notes", &self.script).await).await;
        let answers = [access, world.refresh(&self.tokens.refresh).await, script];
        for (answer, code) in answers.iter().zip(codes) {
            answer.refused(code);
        }
        assert_eq!(self.browser.ask(Method::GET, "/api/v1/me").send().await.status, 401);
        assert_eq!(world.ask(Method::GET, &self.link).send().await.status, 404);
        answers
    }
}

fn kids(answer: &Answer) -> Vec<String> {
    let keys = answer.body["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}
