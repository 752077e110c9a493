//! A client with a persistent connection, and a name for each kind of response.

use std::io::Error;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::wire::{Answer, Connection};

/// The longest wait for a response.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// A connection that was not used for this long is not used again, because the server may be about to close
/// it.
const KEPT: Duration = Duration::from_secs(2);

/// Returns a label for the outcome of a request. A response without a request ID comes from the load
/// balancer.
pub fn name_of(answer: &Result<Answer, Error>) -> String {
    match answer {
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        Err(_) => "hung up".to_owned(),
        Ok(answer) if answer.status < 300 => "200".to_owned(),
        Ok(answer) if answer.header("x-request-id").is_none() => format!("{} of the balancer", answer.status),
        Ok(answer) => {
            let code = answer.json()["code"].as_str().unwrap_or("without a code").to_owned();
            let waits = answer.status != 503 || answer.header("retry-after").is_some();
            let lack = if waits { "" } else { ", without Retry-After" };
            format!("{} {code}{lack}", answer.status)
        }
    }
}

/// A connection that is opened again after it was closed.
pub struct Client {
    address: String,
    connection: Option<(Connection, Instant)>,
}

impl Client {
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), connection: None }
    }

    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: &Value,
    ) -> Result<Answer, Error> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let asked = async {
            let kept = self.connection.take().filter(|(_, used_at)| used_at.elapsed() < KEPT);
            let mut connection = match kept {
                Some((connection, _)) => connection,
                None => Connection::open(&self.address).await?,
            };
            let answer = connection.ask(method, path, token, &body).await?;
            let closes = answer.header("connection").is_some_and(|text| text.eq_ignore_ascii_case("close"));
            self.connection = (!closes).then(|| (connection, Instant::now()));
            Ok(answer)
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|late| Err(late.into()))
    }
}
