//! Requests and responses, as a client sees them.

use std::fmt::Display;

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// A request that is not sent yet.
pub struct Ask(RequestBuilder);

impl Ask {
    pub fn new(builder: RequestBuilder) -> Self {
        Self(builder)
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub fn basic(self, username: &str, password: &str) -> Self {
        Self(self.0.basic_auth(username, Some(password)))
    }

    pub fn header(self, name: &str, value: impl Display) -> Self {
        Self(self.0.header(name, value.to_string()))
    }

    /// Adds a header that may not be text.
    pub fn bytes_header(self, name: &str, value: reqwest::header::HeaderValue) -> Self {
        Self(self.0.header(name, value))
    }

    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    pub async fn send(self) -> Answer {
        let response = self.0.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, headers, body }
    }
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// The body as JSON, or as a JSON string if it is not JSON.
    pub body: Value,
}

impl Answer {
    /// Returns a string member of the body.
    pub fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.body)).to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn challenges(&self) -> Vec<&str> {
        self.headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok()).collect()
    }

    /// Checks that the response is a complete refusal with this code: status, body and headers.
    #[track_caller]
    pub fn refused(&self, code: &str) -> &Self {
        self.refused_at(code, crate::PUBLIC_URL)
    }

    /// Checks a refusal by a server with another public URL.
    #[track_caller]
    pub fn refused_at(&self, code: &str, public_url: &str) -> &Self {
        let found = doorward::refusal::Code::parse(code).expect("a code");
        assert_eq!(self.body["code"], code, "{} {}", self.status, self.body);
        assert_eq!(self.status, found.status().as_u16(), "{}", self.body);
        assert_eq!(self.body["status"], self.status);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.body["type"], format!("{public_url}/problems/{code}"));
        let request_id = self.text("request_id");
        assert_eq!(self.header("x-request-id"), Some(request_id.as_str()));
        assert_eq!(self.body["instance"], format!("urn:uuid:{request_id}"));
        assert!(!self.text("detail").is_empty() && !self.text("title").is_empty());
        assert!(self.body["terminal"].is_boolean() && self.body["action"].is_string(), "{}", self.body);
        assert!(found.members().iter().all(|member| self.body.get(*member).is_some()), "{}", self.body);
        let is_challenged = found.challenge() != doorward::refusal::Challenge::Absent;
        assert_eq!(self.challenges().is_empty(), !is_challenged, "{}", self.body);
        self
    }

    /// Checks a refusal, and also what the client should do next.
    #[track_caller]
    pub fn refused_with(&self, code: &str, action: &str, terminal: bool) -> &Self {
        self.refused(code);
        assert_eq!((&self.body["action"], &self.body["terminal"]), (&action.into(), &terminal.into()));
        self
    }
}
