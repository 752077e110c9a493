//! A client of doorward. It signs in, sends requests, refreshes automatically, and says when and why the user
//! must sign in again.
//!
//! Needs reqwest (`json`), serde (`derive`), serde_json and tokio (`rt`, `macros`, `sync`, `time`). Any number of tasks can share one
//! [`Doorward`] in an `Arc`.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const LOGOUT: &str = "/api/v1/auth/logout";
const STEP_UP: &str = "/api/v1/auth/step-up";
/// The number of attempts for one request.
const TRIES: u32 = 4;
/// A refusal with a longer wait is returned immediately.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A refusal from doorward. `action` is what to do next.
#[derive(Clone, Debug, Deserialize)]
pub struct Problem {
    /// The status of the answer.
    pub status: u16,
    /// The reason, for programs; its page is at `/problems/<code>`.
    pub code: String,
    /// The next step for the client.
    pub action: String,
    /// True if the session is over, so that its tokens are useless.
    pub terminal: bool,
    /// The finding and what to do next, for people.
    pub detail: String,
    /// The id with which the refusal can be looked up.
    pub request_id: String,
    /// Members that only some codes have: `reason`, `ended_at`, `errors`, …
    #[serde(flatten)]
    pub more: serde_json::Map<String, Value>,
}

/// The reason why there is no successful answer.
#[derive(Debug)]
pub enum Error {
    /// doorward refused the request. If `action` is `login`, the user must sign in again.
    Refused(Box<Problem>),
    /// There was no answer. The user stays signed in.
    Unreachable(reqwest::Error),
    /// The answer is not from doorward, but for example from a proxy. The user stays signed in.
    Foreign(StatusCode),
    /// The refresh token could not be stored, so the access token that came with it is not used.
    Unsaved(std::io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(it) => write!(formatter, "{} ({}, request {})", it.detail, it.code, it.request_id),
            Self::Unreachable(error) => write!(formatter, "no answer: {error}"),
            Self::Foreign(status) => {
                write!(formatter, "an answer with status {status} that is not from doorward")
            }
            Self::Unsaved(error) => write!(formatter, "the refresh token could not be stored: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// A successful answer.
#[derive(Debug)]
pub struct Answer {
    /// The status, below 400.
    pub status: StatusCode,
    /// The headers: `ETag`, `Location`, …
    pub headers: HeaderMap,
    /// The JSON body; null if there is none.
    pub body: Value,
}

#[derive(Default)]
struct Tokens {
    refresh: Option<String>,
    access: Option<String>,
    refresh_at: Option<Instant>,
}

type Save = Box<dyn Fn(Option<&str>) -> std::io::Result<()> + Send + Sync>;

/// A client with at most one session.
pub struct Doorward {
    http: reqwest::Client,
    base: String,
    save: Save,
    /// Locked while refreshing, so that only one refresh runs. The others wait and use its result.
    tokens: Mutex<Tokens>,
}

impl Doorward {
    /// Creates a client. `save` stores the refresh token for the next start. With `None` it deletes the
    /// stored token.
    pub fn new(base: &str, refresh_token: Option<String>, save: Save) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let tokens = Mutex::new(Tokens { refresh: refresh_token, ..Tokens::default() });
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), save, tokens })
    }

    /// Signs in. `device` is a name in the list of sessions.
    pub async fn sign_in(&self, username: &str, password: &str, device: &str) -> Result<(), Error> {
        let mut tokens = self.tokens.lock().await;
        let body = json!({ "username": username, "password": password, "device": device });
        let answer = self.ask(Method::POST, LOGIN, None, Some(&body)).await?;
        self.hold(&mut tokens, &answer)
    }

    /// Sends a request. Returns a successful answer, or a refusal that neither refreshing nor waiting resolved.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, Error> {
        let access = self.access(None).await?;
        match self.ask(method.clone(), path, access.as_deref(), body).await {
            Err(Error::Refused(problem)) if problem.action == "refresh" => {}
            other => return self.judged(other, access.as_deref()).await,
        }
        let access = self.access(access.as_deref()).await?;
        let other = self.ask(method, path, access.as_deref(), body).await;
        self.judged(other, access.as_deref()).await
    }

    /// Steps up. Use this when `action` is `step_up`; then call again.
    pub async fn step_up(&self, password: &str) -> Result<(), Error> {
        let answer = self.call(Method::POST, STEP_UP, Some(&json!({ "password": password }))).await?;
        self.hold(&mut self.tokens.lock().await, &answer)
    }

    /// Ends the session.
    pub async fn sign_out(&self) -> Result<(), Error> {
        let mut tokens = self.tokens.lock().await;
        if let Some(refresh) = &tokens.refresh {
            self.ask(Method::POST, LOGOUT, None, Some(&json!({ "refresh_token": refresh }))).await?;
        }
        self.discard(&mut tokens)
    }

    /// Returns the access token, refreshed if it is old or was refused; `None` if no one is signed in.
    async fn access(&self, refused: Option<&str>) -> Result<Option<String>, Error> {
        let mut tokens = self.tokens.lock().await;
        let is_old = tokens.refresh_at.is_none_or(|at| Instant::now() >= at);
        if tokens.refresh.is_some() && (is_old || tokens.access.as_deref() == refused) {
            self.refresh(&mut tokens).await?;
        }
        Ok(tokens.access.clone())
    }

    async fn refresh(&self, tokens: &mut MutexGuard<'_, Tokens>) -> Result<(), Error> {
        let body = json!({ "refresh_token": tokens.refresh });
        match self.ask(Method::POST, REFRESH, None, Some(&body)).await {
            Ok(answer) => self.hold(tokens, &answer),
            Err(Error::Refused(problem)) if problem.terminal => {
                self.discard(tokens)?;
                Err(Error::Refused(problem))
            }
            Err(other) => Err(other),
        }
    }

    /// Discards the tokens after a terminal refusal, unless the user has signed in again in the meantime.
    async fn judged(&self, result: Result<Answer, Error>, access: Option<&str>) -> Result<Answer, Error> {
        if matches!(&result, Err(Error::Refused(problem)) if problem.terminal) {
            let mut tokens = self.tokens.lock().await;
            if tokens.access.as_deref() == access {
                self.discard(&mut tokens)?;
            }
        }
        result
    }

    fn hold(&self, tokens: &mut MutexGuard<'_, Tokens>, answer: &Answer) -> Result<(), Error> {
        let text = |name: &str| answer.body[name].as_str().map(str::to_owned);
        let access = text("access_token").ok_or(Error::Foreign(answer.status))?;
        let refresh = text("refresh_token").ok_or(Error::Foreign(answer.status))?;
        (self.save)(Some(&refresh)).map_err(Error::Unsaved)?; // before the new access token is used
        tokens.refresh = Some(refresh);
        let life = Duration::from_secs(answer.body["expires_in"].as_u64().unwrap_or(0));
        tokens.refresh_at = Some(Instant::now() + life - (life / 10).min(Duration::from_secs(30)));
        tokens.access = Some(access);
        Ok(())
    }

    fn discard(&self, tokens: &mut MutexGuard<'_, Tokens>) -> Result<(), Error> {
        **tokens = Tokens::default();
        (self.save)(None).map_err(Error::Unsaved)
    }

    /// Sends a request, and retries it if that is safe.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        access: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let is_repeatable = method.is_safe() || path == REFRESH || path == LOGOUT;
        let mut tries_left = TRIES;
        loop {
            tries_left -= 1;
            let (failure, again, wait) = match self.ask_once(&method, path, access, body).await {
                Ok((answer, None)) => return Ok(answer),
                Ok((answer, Some(problem))) => {
                    // Without the database, it is unknown whether a change was made.
                    let is_undone = is_repeatable || problem.code != "database_unavailable";
                    let again = problem.action == "wait" && is_undone;
                    (Error::Refused(Box::new(problem)), again, retry_after(&answer.headers))
                }
                Err(fault) => (fault, is_repeatable, Duration::from_secs(1)),
            };
            if !again || tries_left == 0 || wait > LONGEST_WAIT {
                return Err(failure);
            }
            // So that not all clients retry at the same time.
            sleep(wait + Duration::from_millis(RandomState::new().hash_one(path) % 1000)).await;
        }
    }

    async fn ask_once(
        &self,
        method: &Method,
        path: &str,
        access: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(Answer, Option<Problem>), Error> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if let Some(access) = access {
            request = request.bearer_auth(access);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(Error::Unreachable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
        let is_problem = kind.starts_with("application/problem+json");
        let text = response.text().await.map_err(Error::Unreachable)?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let problem = is_problem.then(|| Problem::deserialize(&body)).transpose();
        match problem {
            Ok(Some(problem)) => Ok((Answer { status, headers, body }, Some(problem))),
            Ok(None) if status.as_u16() < 400 => Ok((Answer { status, headers, body }, None)),
            _ => Err(Error::Foreign(status)),
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// Runs `client BASE USERNAME`, with the password on standard input.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (base, username) = arguments.next().zip(arguments.next()).ok_or("usage: client BASE USERNAME")?;
    let mut password = String::new();
    std::io::stdin().read_line(&mut password)?;
    let client = Doorward::new(&base, None, Box::new(|_| Ok(())))?;
    client.sign_in(&username, password.trim_end_matches('\n'), "client.rs").await?;
    let me = client.call(Method::GET, "/api/v1/me", None).await?;
    writeln!(std::io::stdout(), "{}", me.body)?;
    client.sign_out().await?;
    Ok(())
}
