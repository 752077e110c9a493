//! Measures in rounds how long other nodes still accept a session that one node has ended.
//!
//! A round starts a session on node A and uses its access token on B and C, so that both cache it. It then
//! signs the session out on A. When the response has arrived, it sends requests to B and C without a pause on
//! persistent connections. The lag is the time from that response to the *start* of the first request after
//! which no request was accepted. A request that started earlier may be accepted rightly, and one that starts
//! later is not accepted. So the measured lag is too long by at most the duration of the last accepted
//! request, and never too short.

use std::io::Error;
use std::time::{Duration, Instant};

use doorward_test::client::{Client, name_of};
use doorward_test::wire::Answer;
use serde_json::{Value, json};

/// A request that starts later than this after the response to the sign-out must not be accepted.
pub const PROMISED: Duration = Duration::from_secs(1);
/// The pause after a failure, for example of a node that is down, since the right response comes later.
const PAUSE: Duration = Duration::from_millis(2);
/// The longest time to wait for the right response of a node.
const PATIENCE: Duration = Duration::from_secs(20);

/// The responses of B or C after a sign-out.
pub struct Watched {
    pub lag: Duration,
    /// The start of the first request with the right response, which is 401 `session_ended`.
    pub right_at: Instant,
    /// The number of requests that were accepted although they started after [`PROMISED`].
    pub late: u64,
    /// Responses that were neither, because the node or its database was down.
    pub failures: Vec<String>,
}

pub struct Round {
    /// The time at which the response to the sign-out arrived.
    pub ended_at: Instant,
    pub watched: [Watched; 2],
}

/// Runs a round. Calls `before` just before the sign-out is sent, and `after` just after it was answered.
pub async fn round(
    [a, b, c]: [&mut Client; 3],
    credentials: &Value,
    before: impl FnOnce(),
    after: impl FnOnce(),
) -> Result<Round, String> {
    let tokens = until_accepted(a, "POST", "/api/v1/auth/login", "", credentials).await?.json();
    let text = |member: &str| tokens[member].as_str().unwrap_or_default().to_owned();
    let access = text("access_token");
    for _ in 0..2 {
        until_accepted(b, "GET", "/api/v1/me", &access, &Value::Null).await?;
        until_accepted(c, "GET", "/api/v1/me", &access, &Value::Null).await?;
    }
    before();
    // Signs out with the refresh token. A second sign-out gets the same response, so the request is repeated
    // if its response is lost.
    let body = json!({ "refresh_token": text("refresh_token") });
    until_accepted(a, "POST", "/api/v1/auth/logout", "", &body).await?;
    let ended_at = Instant::now();
    after();
    let (on_b, on_c) = tokio::join!(watch(b, &access, ended_at), watch(c, &access, ended_at));
    Ok(Round { ended_at, watched: [on_b?, on_c?] })
}

/// Repeats a request until it is accepted. Any refusal is an error.
async fn until_accepted(
    client: &mut Client,
    method: &str,
    path: &str,
    token: &str,
    body: &Value,
) -> Result<Answer, String> {
    let started = Instant::now();
    loop {
        match client.ask(method, path, token, body).await {
            Ok(answer) if answer.status < 300 => return Ok(answer),
            Ok(answer) if answer.status < 500 => {
                let found = String::from_utf8_lossy(answer.body()).into_owned();
                return Err(format!("{method} {path}: {} {found}", answer.status));
            }
            answer if started.elapsed() > PATIENCE => {
                return Err(format!("{method} {path}: still {}", name_of(&answer)));
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn watch(client: &mut Client, token: &str, ended_at: Instant) -> Result<Watched, String> {
    let (mut late, mut failures) = (0, Vec::new());
    let mut refused_from: Option<Instant> = None;
    loop {
        let began = Instant::now();
        let answer = client.ask("GET", "/api/v1/me", token, &Value::Null).await;
        match judge(&answer) {
            Judged::Accepted => {
                refused_from = None;
                late += u64::from(began - ended_at > PROMISED);
            }
            Judged::Ended => {
                let lag = refused_from.unwrap_or(began) - ended_at;
                return Ok(Watched { lag, right_at: began, late, failures });
            }
            Judged::Failed => {
                refused_from.get_or_insert(began);
                failures.push(name_of(&answer));
                tokio::time::sleep(PAUSE).await;
            }
            Judged::Wrong => return Err(format!("GET /api/v1/me: {}", name_of(&answer))),
        }
        if ended_at.elapsed() > PATIENCE {
            return Err(format!("{PATIENCE:?} after a sign-out: still {}", name_of(&answer)));
        }
    }
}

enum Judged {
    Accepted,
    Ended,
    Failed,
    Wrong,
}

fn judge(answer: &Result<Answer, Error>) -> Judged {
    match answer {
        Ok(answer) if answer.status == 200 => Judged::Accepted,
        Ok(answer) if answer.status == 401 && answer.json()["code"] == "session_ended" => Judged::Ended,
        Ok(answer) if answer.status < 500 => Judged::Wrong,
        _ => Judged::Failed,
    }
}

/// The sorted times of a phase.
pub struct Distribution(Vec<Duration>);

impl Distribution {
    pub fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// Returns the shortest time that at least this share of all times do not exceed.
    pub fn at(&self, share: f64) -> Duration {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.clamp(1, self.0.len().max(1)) - 1).copied().unwrap_or_default()
    }

    pub fn worst(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }

    /// Returns a line for each bound that has times below it.
    pub fn histogram(&self) -> String {
        const BOUNDS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];
        let (mut lines, mut from) = (String::new(), 0);
        for bound in BOUNDS.into_iter().chain([u64::MAX]) {
            let to = self.0.partition_point(|time| time.as_millis() < u128::from(bound));
            let name = if bound == u64::MAX { "   more".to_owned() } else { format!("< {bound:>4} ms") };
            if to > from {
                let bar = "#".repeat((60 * (to - from)).div_ceil(self.0.len()));
                lines.push_str(&format!("    {name:<9} {:>5} {bar}\n", to - from));
            }
            from = to;
        }
        lines
    }
}
