//! The clients. Each has one or more sessions, repeats requests with an unknown outcome, and enters every
//! response in the ledger.

use std::time::{Duration, Instant};

use doorward_test::PASSWORD;
use doorward_test::client::Client;
use doorward_test::wire::Answer;
use futures_util::future::join;
use serde_json::{Value, json};

use crate::ledger::{Broken, ENDED_WITHIN, Fate, Ledger, Outcome, Promise};

/// The pause after a response.
const PAUSE: Duration = Duration::from_millis(10);
/// The pause after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(30);
/// A client gives up after this long without a response that counts, because nothing will recover any more.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

/// A user who sends requests to any of the nodes.
pub struct Caller {
    pub name: String,
    password: String,
    number: usize,
    ledger: Ledger,
    lines: Vec<Client>,
    /// True if its responses count in the report, unlike those of a caller who only checks.
    counts: bool,
    next: usize,
    notes: usize,
}

/// A request without its node.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub token: &'a str,
    pub body: &'a Value,
}

impl<'a> Ask<'a> {
    pub fn get(path: &'a str, token: &'a str) -> Self {
        Self { method: "GET", path, token, body: &Value::Null }
    }

    pub fn post(path: &'a str, token: &'a str, body: &'a Value) -> Self {
        Self { method: "POST", path, token, body }
    }

    pub fn delete(path: &'a str, token: &'a str) -> Self {
        Self { method: "DELETE", path, token, body: &Value::Null }
    }
}

/// The final outcome of a request. If it was done, also has the node that did it.
pub enum LastKnown {
    Done(usize, Answer),
    Refused(u16, Value),
}

pub fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

impl Caller {
    pub fn new(name: &str, ledger: &Ledger, addresses: &[String]) -> Self {
        let number = ledger.admit();
        Self {
            name: name.to_owned(),
            password: PASSWORD.to_owned(),
            number,
            ledger: ledger.clone(),
            lines: addresses.iter().map(|address| Client::new(address)).collect(),
            counts: true,
            next: number,
            notes: 0,
        }
    }

    fn goes_on(&self) -> bool {
        self.ledger.goes_on()
    }

    /// Records that the client has finished.
    pub fn leave(&self) {
        self.ledger.leave(self.number);
    }

    /// Makes the caller's responses checked but not counted.
    pub fn uncounted(mut self) -> Self {
        self.counts = false;
        self
    }

    pub fn nodes(&self) -> usize {
        self.lines.len()
    }

    /// Sends a request to one node, once.
    pub async fn once(&mut self, node: usize, ask: Ask<'_>) -> Outcome {
        let Ask { method, path, token, body } = ask;
        let began = Instant::now();
        let answer = self.lines[node].ask(method, path, token, body).await;
        let asked = format!("{method} {path} of {} at {node}", self.name);
        self.ledger.enter((self.number, self.counts), &asked, began, answer)
    }

    /// Sends a request to one node after the other until its outcome is known. Also returns whether an
    /// earlier attempt may have done it.
    pub async fn until_known(&mut self, ask: Ask<'_>) -> Result<(LastKnown, bool), Broken> {
        let (started, mut is_doubtful) = (Instant::now(), false);
        loop {
            let node = self.next % self.nodes();
            self.next += 1;
            match self.once(node, ask).await {
                Outcome::Acknowledged(answer) => {
                    tokio::time::sleep(PAUSE).await;
                    return Ok((LastKnown::Done(node, answer), is_doubtful));
                }
                Outcome::Refused(status, body) => return Ok((LastKnown::Refused(status, body), is_doubtful)),
                Outcome::Unknown => is_doubtful = true,
                Outcome::Shed => {}
            }
            if started.elapsed() > PATIENCE {
                let how = format!("{} {} of {}: no answer in {PATIENCE:?}", ask.method, ask.path, self.name);
                return Err(self.ledger.broke(Promise::Wrong, how));
            }
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
        }
    }

    /// Repeats a request until it is done. Any refusal is wrong.
    pub async fn until_done(&mut self, ask: Ask<'_>) -> Result<(usize, Answer), Broken> {
        match self.until_known(ask).await?.0 {
            LastKnown::Done(node, answer) => Ok((node, answer)),
            LastKnown::Refused(status, body) => Err(self.was_refused(ask, status, &body)),
        }
    }

    pub fn was_refused(&self, ask: Ask<'_>, status: u16, body: &Value) -> Broken {
        let promise = if [401, 403].contains(&status) { Promise::SignedOut } else { Promise::Wrong };
        let how = format!("{} {} of {}: {status} {body}", ask.method, ask.path, self.name);
        self.ledger.broke(promise, how)
    }

    pub async fn login(&mut self) -> Result<Tokens, Broken> {
        let body = json!({ "username": self.name, "password": self.password });
        let (_, answer) = self.until_done(Ask::post("/api/v1/auth/login", "", &body)).await?;
        Ok(Tokens::of(&answer))
    }

    pub async fn refresh(&mut self, live: &str) -> Result<Tokens, Broken> {
        let body = json!({ "refresh_token": live });
        let (_, answer) = self.until_done(Ask::post("/api/v1/auth/refresh", "", &body)).await?;
        Ok(Tokens::of(&answer))
    }

    /// Writes notes with different titles until one is acknowledged. Returns its path and body.
    pub async fn write_note(&mut self, token: &str) -> Result<(String, String), Broken> {
        let started = Instant::now();
        loop {
            let (title, body) = self.new_note();
            let note = json!({ "title": title, "body": body });
            let ask = Ask::post("/api/v1/notes", token, &note);
            let node = self.next % self.nodes();
            self.next += 1;
            let outcome = self.once(node, ask).await;
            let fate = match &outcome {
                Outcome::Acknowledged(_) => Fate::Acknowledged,
                Outcome::Refused(..) | Outcome::Shed => Fate::Refused,
                Outcome::Unknown => Fate::Unknown,
            };
            self.ledger.note(&title, &body, fate);
            match outcome {
                Outcome::Acknowledged(answer) => {
                    return Ok((format!("/api/v1/notes/{}", text(&answer.json(), "id")), body));
                }
                Outcome::Refused(status, body) => return Err(self.was_refused(ask, status, &body)),
                Outcome::Shed | Outcome::Unknown if started.elapsed() > PATIENCE => {
                    return Err(self.ledger.broke(Promise::Wrong, format!("no note in {PATIENCE:?}")));
                }
                Outcome::Shed | Outcome::Unknown => tokio::time::sleep(PAUSE_AFTER_FAILURE).await,
            }
        }
    }

    fn new_note(&mut self) -> (String, String) {
        self.notes += 1;
        let title = format!("{} {}-{}", self.name, self.number, self.notes);
        let body = format!("what {title} says, and some more of it");
        (title, body)
    }
}

impl Tokens {
    pub fn of(answer: &Answer) -> Self {
        let answer = answer.json();
        Self { access: text(&answer, "access_token"), refresh: text(&answer, "refresh_token") }
    }
}

/// Writes notes, reads them back, and refreshes its tokens. It must stay signed in whatever happens.
pub async fn keep_a_diary(mut caller: Caller) -> Result<(), Broken> {
    let mut tokens = caller.login().await?;
    while caller.goes_on() {
        let (path, body) = caller.write_note(&tokens.access).await?;
        match caller.until_known(Ask::get(&path, &tokens.access)).await?.0 {
            LastKnown::Done(_, answer) if text(&answer.json(), "body") == body => {}
            LastKnown::Done(..) | LastKnown::Refused(404, _) => {
                return Err(caller.ledger.broke(Promise::Lost, format!("{path} of {}", caller.name)));
            }
            LastKnown::Refused(status, body) => {
                return Err(caller.was_refused(Ask::get(&path, ""), status, &body));
            }
        }
        for _ in 0..caller.nodes() {
            caller.until_done(Ask::get("/api/v1/me", &tokens.access)).await?;
        }
        tokens = caller.refresh(&tokens.refresh).await?;
    }
    caller.ledger.keeps(&caller.name, &tokens.refresh);
    caller.leave();
    Ok(())
}

/// Acts like two tabs that share a session and refresh it at the same moment on two nodes.
pub async fn refresh_together(mut one: Caller, mut other: Caller) -> Result<(), Broken> {
    let mut tokens = one.login().await?;
    while one.goes_on() {
        let body = json!({ "refresh_token": tokens.refresh });
        let ask = Ask::post("/api/v1/auth/refresh", "", &body);
        let last = other.nodes() - 1;
        let (here, there) = join(one.once(0, ask), other.once(last, ask)).await;
        let mut answered: Option<Tokens> = None;
        for outcome in [here, there] {
            match outcome {
                Outcome::Acknowledged(answer) => {
                    let tokens = Tokens::of(&answer);
                    if answered.as_ref().is_some_and(|first| first.refresh != tokens.refresh) {
                        let how = format!("two tokens at once for {}", one.name);
                        return Err(one.ledger.broke(Promise::TwoSuccessors, how));
                    }
                    answered = Some(tokens);
                }
                Outcome::Refused(status, body) => return Err(one.was_refused(ask, status, &body)),
                Outcome::Shed | Outcome::Unknown => {}
            }
        }
        match answered {
            Some(answered) => {
                tokens = answered;
                one.until_done(Ask::get("/api/v1/me", &tokens.access)).await?;
            }
            None => tokio::time::sleep(PAUSE_AFTER_FAILURE).await,
        }
    }
    one.ledger.keeps(&one.name, &tokens.refresh);
    one.leave();
    other.leave();
    Ok(())
}

/// Starts sessions and creates tokens, uses them on every node, ends them in every way, and checks that they
/// have ended.
pub async fn end_things(mut caller: Caller) -> Result<(), Broken> {
    let mut main = caller.login().await?;
    for way in (0..4).cycle() {
        if !caller.goes_on() {
            break;
        }
        if way == 3 {
            end_a_personal_token(&mut caller, &main).await?;
        } else {
            end_a_session(&mut caller, &main, way).await?;
        }
        main = caller.refresh(&main.refresh).await?;
    }
    caller.ledger.keeps(&caller.name, &main.refresh);
    caller.leave();
    Ok(())
}

async fn end_a_session(caller: &mut Caller, main: &Tokens, way: usize) -> Result<(), Broken> {
    let other = caller.login().await?;
    let mut session = String::new();
    for _ in 0..caller.nodes() {
        let (_, me) = caller.until_done(Ask::get("/api/v1/me", &other.access)).await?;
        session = text(&me.json()["credential"], "session_id");
    }
    let (what, node) = match way {
        0 => {
            let body = json!({ "refresh_token": other.refresh });
            ("signed out", caller.until_done(Ask::post("/api/v1/auth/logout", "", &body)).await?.0)
        }
        1 => {
            let path = format!("/api/v1/me/sessions/{session}");
            ("ended from another session", delete(caller, Ask::delete(&path, &main.access)).await?)
        }
        _ => ("its password changed", change_password(caller, &main.access).await?),
    };
    let ended_at = Instant::now();
    caller.ledger.revoked(what, &other.access, Some(&other.refresh));
    watch_the_end(caller, &other.access, node, ended_at).await?;
    use_what_is_dead(caller, &other.access).await
}

async fn end_a_personal_token(caller: &mut Caller, main: &Tokens) -> Result<(), Broken> {
    let wanted = json!({ "name": "a script", "scope": "notes:read" });
    let (_, made) = caller.until_done(Ask::post("/api/v1/me/tokens", &main.access, &wanted)).await?;
    let (token, id) = (text(&made.json(), "token"), text(&made.json(), "id"));
    for _ in 0..caller.nodes() {
        caller.until_done(Ask::get("/api/v1/me", &token)).await?;
    }
    let path = format!("/api/v1/me/tokens/{id}");
    let node = delete(caller, Ask::delete(&path, &main.access)).await?;
    let ended_at = Instant::now();
    caller.ledger.revoked("a personal token", &token, None);
    watch_the_end(caller, &token, node, ended_at).await
}

/// Returns the node that deleted it. Returns `usize::MAX` if an earlier attempt whose response was lost did,
/// since the node is then unknown.
async fn delete(caller: &mut Caller, ask: Ask<'_>) -> Result<usize, Broken> {
    match caller.until_known(ask).await? {
        (LastKnown::Done(node, _), _) => Ok(node),
        (LastKnown::Refused(404, _), true) => Ok(usize::MAX),
        (LastKnown::Refused(status, body), _) => Err(caller.was_refused(ask, status, &body)),
    }
}

/// Changes the password. An earlier attempt may have changed it already.
async fn change_password(caller: &mut Caller, token: &str) -> Result<usize, Broken> {
    let new = if caller.password == PASSWORD { "quite another phrase" } else { PASSWORD };
    let body = json!({ "current_password": caller.password, "new_password": new });
    let ask = Ask::post("/api/v1/me/password", token, &body);
    let node = match caller.until_known(ask).await? {
        (LastKnown::Done(node, _), _) => node,
        (LastKnown::Refused(422, _), true) => usize::MAX,
        (LastKnown::Refused(status, body), _) => return Err(caller.was_refused(ask, status, &body)),
    };
    caller.password = new.to_owned();
    Ok(node)
}

/// Sends requests to every node until it refuses the ended credential. The node that ended it must refuse the
/// next request, and the others within a second.
async fn watch_the_end(
    caller: &mut Caller,
    token: &str,
    ended_by: usize,
    ended_at: Instant,
) -> Result<(), Broken> {
    for node in 0..caller.nodes() {
        loop {
            let began = Instant::now();
            match caller.once(node, Ask::get("/api/v1/me", token)).await {
                Outcome::Refused(401, body) if is_over(&body) => break,
                Outcome::Refused(status, body) => {
                    return Err(caller.was_refused(Ask::get("/api/v1/me", ""), status, &body));
                }
                Outcome::Acknowledged(_) if node == ended_by || began - ended_at > ENDED_WITHIN => {
                    let how = format!("{} at {node}, {:?} after its end", caller.name, began - ended_at);
                    return Err(caller.ledger.broke(Promise::Accepted, how));
                }
                Outcome::Acknowledged(_) => {}
                Outcome::Shed | Outcome::Unknown => tokio::time::sleep(PAUSE_AFTER_FAILURE).await,
            }
            if ended_at.elapsed() > PATIENCE {
                let how = format!("what {} ended is not refused in {PATIENCE:?}", caller.name);
                return Err(caller.ledger.broke(Promise::Accepted, how));
            }
        }
    }
    Ok(())
}

/// Returns whether the refusal says that the credential was ended.
pub fn is_over(body: &Value) -> bool {
    ["session_ended", "token_revoked", "refresh_token_reused"]
        .contains(&body["code"].as_str().unwrap_or_default())
}

/// Writes a note with a token that every node has refused. The request must be refused, and the note must not
/// exist.
async fn use_what_is_dead(caller: &mut Caller, token: &str) -> Result<(), Broken> {
    let (title, body) = caller.new_note();
    let note = json!({ "title": title, "body": body });
    let ask = Ask::post("/api/v1/notes", token, &note);
    match caller.until_known(ask).await?.0 {
        LastKnown::Refused(401, refused) if is_over(&refused) => {
            caller.ledger.note(&title, &body, Fate::Refused);
            Ok(())
        }
        LastKnown::Refused(status, refused) => Err(caller.was_refused(ask, status, &refused)),
        LastKnown::Done(..) => {
            caller.ledger.note(&title, &body, Fate::Acknowledged);
            Err(caller.ledger.broke(Promise::Accepted, format!("{title} was written with a dead token")))
        }
    }
}

/// Requests everything that needs no database, from every node without a pause. This is the process's health,
/// the keys, pages that are the same for all, and refusals that only the token determines.
pub async fn ask_what_needs_no_database(mut caller: Caller) -> Result<(), Broken> {
    let genuine = caller.login().await?.access;
    let (head, signature) = genuine.rsplit_once('.').unwrap_or_default();
    let (first, rest) = signature.split_at(1);
    let forged = format!("{head}.{}{rest}", if first == "A" { "B" } else { "A" });
    let asked = [
        ("/healthz", "", 200, ""),
        ("/.well-known/jwks.json", "", 200, ""),
        ("/problems/session_ended", "", 200, ""),
        ("/docs/guide", "", 200, ""),
        ("/api/v1/me", "", 401, "credentials_missing"),
        ("/api/v1/me", "nonsense", 401, "token_malformed"),
        ("/api/v1/notes", &forged, 401, "token_signature_invalid"),
    ];
    while caller.goes_on() {
        for (node, (path, token, status, code)) in
            (0..caller.nodes()).flat_map(|node| asked.map(|ask| (node, ask)))
        {
            let (found, said) = match caller.once(node, Ask::get(path, token)).await {
                Outcome::Acknowledged(answer) => (answer.status, String::new()),
                Outcome::Refused(found, body) => (found, text(&body, "code")),
                Outcome::Unknown if caller.ledger.hang_ups_allowed() => continue,
                Outcome::Shed | Outcome::Unknown => (503, String::new()),
            };
            if (found, said.as_str()) != (status, code) {
                caller.ledger.broke(Promise::Wrong, format!("GET {path} at {node}: {found} {said}"));
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    caller.leave();
    Ok(())
}
