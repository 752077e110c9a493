//! The clocks of PostgreSQL and of the nodes jump forward and back while they run, by libfaketime.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use doorward_test::machine::folder;
use serde_json::{Value, json};

use crate::client::{Ask, Caller, LastKnown, Tokens, is_over, text};
use crate::drill::rounds;
use crate::ledger::{Broken, Ledger, Promise};
use crate::load::on_a_runtime;
use crate::node::Node;
use crate::postgres::Postgres;
use crate::report::Row;

/// The number of sessions that no one ends.
const CHAINS: usize = 3;
/// The jumps. The right time follows each.
const JUMPS: [&str; 5] = ["+1h", "-1h", "+2d", "-2d", "-40s"];

/// The clock of all processes with its environment variables.
struct Clock(PathBuf);

impl Clock {
    fn new(folder: &tempfile::TempDir) -> Self {
        let clock = Self(folder.path().join("clock"));
        clock.set("+0");
        clock
    }

    /// Sets the clock's difference from the right time.
    fn set(&self, by: &str) {
        // Rename the file, so that it is complete at every moment.
        let new = self.0.with_extension("new");
        fs::write(&new, by).unwrap();
        fs::rename(new, &self.0).unwrap();
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", library()),
            ("FAKETIME_TIMESTAMP_FILE", self.0.to_str().unwrap().to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}

/// Returns the library that the program `faketime` would load.
fn library() -> String {
    let output = Command::new("faketime").args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]).output();
    let output = output.expect("there is no faketime: scripts/install-missing faketime");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Ended credentials, which must stay ended whatever the time is.
struct Ended {
    access: String,
    refresh: String,
    personal: String,
}

struct Drill {
    caller: Caller,
    ledger: Ledger,
    chains: Vec<Tokens>,
    personal: String,
    ended: Vec<Ended>,
}

/// Returns whether an access token is refused only because of its times. The client can get a new one, and no
/// one is signed out.
fn is_of_another_time(body: &Value) -> bool {
    let code = text(body, "code");
    ["token_expired", "token_not_yet_valid"].contains(&code.as_str()) && body["terminal"] == false
}

impl Drill {
    async fn begin(ledger: &Ledger, addresses: &[String]) -> Result<Self, Broken> {
        let mut caller = Caller::new("admin", ledger, addresses);
        let mut chains = Vec::new();
        for _ in 0..CHAINS {
            chains.push(caller.login().await?);
        }
        let personal = make_personal_token(&mut caller, &chains[0].access).await?.0;
        Ok(Self { caller, ledger: ledger.clone(), chains, personal, ended: Vec::new() })
    }

    /// Creates a session and a personal token, uses them on every node, and ends them.
    async fn end_something(&mut self) -> Result<(), Broken> {
        let Tokens { access, refresh } = self.caller.login().await?;
        let (personal, id) = make_personal_token(&mut self.caller, &access).await?;
        for token in [&access, &personal] {
            for _ in 0..self.caller.nodes() {
                self.caller.until_done(Ask::get("/api/v1/me", token)).await?;
            }
        }
        self.caller.until_done(Ask::delete(&format!("/api/v1/me/tokens/{id}"), &access)).await?;
        let body = json!({ "refresh_token": refresh });
        self.caller.until_done(Ask::post("/api/v1/auth/logout", "", &body)).await?;
        self.ledger.revoked("signed out", &access, Some(&refresh));
        self.ledger.revoked("a personal token", &personal, None);
        self.ended.push(Ended { access, refresh, personal });
        Ok(())
    }

    /// Checks that live sessions work after at most one refresh, and that ended ones are refused.
    async fn look(&mut self) -> Result<(), Broken> {
        for chain in &mut self.chains {
            let ask = Ask::get("/api/v1/me", &chain.access);
            match self.caller.until_known(ask).await?.0 {
                LastKnown::Done(..) => {}
                LastKnown::Refused(401, body) if is_of_another_time(&body) => {}
                LastKnown::Refused(status, body) => return Err(self.caller.was_refused(ask, status, &body)),
            }
            *chain = self.caller.refresh(&chain.refresh).await?;
            for token in [&chain.access, &self.personal] {
                for _ in 0..self.caller.nodes() {
                    self.caller.until_done(Ask::get("/api/v1/me", token)).await?;
                }
            }
        }
        for Ended { access, refresh, personal } in &self.ended {
            let body = json!({ "refresh_token": refresh });
            for ask in [
                Ask::get("/api/v1/me", access),
                Ask::get("/api/v1/me", personal),
                Ask::post("/api/v1/auth/refresh", "", &body),
            ] {
                for _ in 0..self.caller.nodes() {
                    match self.caller.until_known(ask).await?.0 {
                        LastKnown::Refused(401, body) if is_over(&body) || is_of_another_time(&body) => {}
                        LastKnown::Refused(status, body) => drop(self.caller.was_refused(ask, status, &body)),
                        LastKnown::Done(..) => {
                            return Err(self
                                .ledger
                                .broke(Promise::Accepted, format!("{} {}", ask.method, ask.path)));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

async fn make_personal_token(caller: &mut Caller, access: &str) -> Result<(String, String), Broken> {
    let wanted = json!({ "name": "a script", "scope": "notes:read" });
    let (_, made) = caller.until_done(Ask::post("/api/v1/me/tokens", access, &wanted)).await?;
    Ok((text(&made.json(), "token"), text(&made.json(), "id")))
}

#[test]
fn clock_jump_neither_revives_nor_ends_a_session() {
    let folder = folder();
    let clock = Clock::new(&folder);
    let environment = clock.environment();
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let postgres = Postgres::with_environment(&[], &environment);
    let mut nodes: Vec<Node> =
        (0..2).map(|_| Node::new(folder.path(), &Postgres::url_at(postgres.port), &environment)).collect();
    for node in &mut nodes {
        node.start();
        node.wait_until_ready();
    }
    let addresses: Vec<String> = nodes.iter().map(|node| node.address.clone()).collect();
    let ledger = Ledger::default();
    let mut recoveries = Vec::new();
    let drilled: Result<(), Broken> = on_a_runtime(async {
        let mut drill = Drill::begin(&ledger, &addresses).await?;
        for number in 0..rounds(10).max(2) {
            drill.end_something().await?;
            for by in [JUMPS[number % JUMPS.len()], "+0"] {
                clock.set(by);
                let started = Instant::now();
                drill.look().await?;
                recoveries.push(started.elapsed());
            }
        }
        Ok(())
    });
    let books = ledger.books();
    Row::new("the clock moved by -2 d to +2 d, and back").recoveries(&recoveries).books(&books).write();
    let said: Vec<String> = nodes.iter().map(Node::said).collect();
    assert!(drilled.is_ok() && books.broken.is_empty(), "{:#?}\n{}", books.broken, said.join("\n\n"));
}

#[test]
fn rate_limit_is_not_lifted_by_a_clock_jump() {
    let folder = folder();
    let clock = Clock::new(&folder);
    let mut environment = clock.environment();
    environment.push(("DOORWARD_UNPROVEN_PER_ADDRESS", "2".to_owned()));
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let postgres = Postgres::with(&[]);
    let mut node = Node::new(folder.path(), &Postgres::url_at(postgres.port), &environment);
    node.start();
    node.wait_until_ready();
    let ledger = Ledger::default();
    let mut caller = Caller::new("admin", &ledger, std::slice::from_ref(&node.address));
    let statuses: Result<Vec<u16>, Broken> = on_a_runtime(async {
        let mut statuses = Vec::new();
        for by in ["+0", "+0", "+0", "+1h", "-1h"] {
            clock.set(by);
            let body = json!({ "refresh_token": "dwr_nonsense" });
            match caller.until_known(Ask::post("/api/v1/auth/refresh", "", &body)).await?.0 {
                LastKnown::Done(..) => statuses.push(200),
                LastKnown::Refused(status, _) => statuses.push(status),
            }
        }
        Ok(statuses)
    });
    assert_eq!(statuses.unwrap(), [401, 401, 429, 429, 429]);
}
