//! Defines a refusal. It holds the data for the response, the log line and the kept record.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::code::{Action, Code};
use super::field_errors::{FieldError, FieldErrors};
use super::redacted::{redact, redacted};

/// A refusal. Clones share its content.
#[derive(Clone)]
pub struct Refusal(Arc<Content>);

#[derive(Clone)]
pub(super) struct Content {
    pub(super) code: Code,
    pub(super) detail: String,
    pub(super) members: Map<String, Value>,
    pub(super) action: Action,
    pub(super) terminal: bool,
    pub(super) errors: Vec<FieldError>,
    /// The errors again, limited to those that a kept refusal lists.
    kept_errors: Vec<FieldError>,
    pub(super) retry_after: Option<u64>,
    pub(super) allow: Vec<Method>,
    pub(super) challenge_parameters: Vec<(&'static str, String)>,
}

impl Refusal {
    /// Creates a refusal. `detail` says what was found and what to do next. Credentials in the detail, the
    /// members and the errors are cut, because a client may have sent one in the wrong place.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Arc::new(Content {
            code,
            detail: redacted(detail.into()),
            members: Map::new(),
            action: code.action(),
            terminal: code.is_terminal(),
            errors: Vec::new(),
            kept_errors: Vec::new(),
            retry_after: None,
            allow: Vec::new(),
            challenge_parameters: Vec::new(),
        }))
    }

    /// Creates a `validation_failed` that lists these errors.
    #[must_use]
    pub fn validation(errors: Vec<FieldError>) -> Self {
        Self::of_errors(errors.into_iter().collect())
    }

    /// Creates a `validation_failed` from collected errors.
    #[must_use]
    pub fn of_errors(errors: FieldErrors) -> Self {
        let (count, kept_errors) = (errors.len(), errors.kept());
        let errors = errors.into_entries();
        let detail = match errors.as_slice() {
            [error] if error.pointer.is_empty() => format!("The request is invalid: {}.", error.detail),
            [error] => format!("{}: {}.", error.pointer, error.detail),
            _ => format!("The request has {count} errors. They are listed in `errors`."),
        };
        let mut refusal = Self::new(Code::ValidationFailed, detail);
        let content = Arc::make_mut(&mut refusal.0);
        (content.errors, content.kept_errors) = (errors, kept_errors);
        refusal
    }

    /// Adds a member to the body.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Serialize) -> Self {
        let mut value = json!(value);
        redact(&mut value);
        Arc::make_mut(&mut self.0).members.insert(name.to_owned(), value);
        self
    }

    /// Replaces the next step that the code suggests.
    #[must_use]
    pub fn action(mut self, action: Action) -> Self {
        Arc::make_mut(&mut self.0).action = action;
        self
    }

    /// Replaces the code's default for `terminal`: true if the session is over.
    #[must_use]
    pub fn terminal(mut self, terminal: bool) -> Self {
        Arc::make_mut(&mut self.0).terminal = terminal;
        self
    }

    /// Sets the time after which to retry, in whole seconds and at least 1.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        let seconds = after.as_secs().max(1);
        Arc::make_mut(&mut self.0).retry_after = Some(seconds);
        self.with("retry_after", seconds)
    }

    /// Sets the allowed methods.
    #[must_use]
    pub fn allow(mut self, methods: &[Method]) -> Self {
        Arc::make_mut(&mut self.0).allow = methods.to_vec();
        self
    }

    /// Adds the required scope to the challenge (RFC 6750, section 3).
    #[must_use]
    pub fn challenge_scope(mut self, scope: &str) -> Self {
        Arc::make_mut(&mut self.0).challenge_parameters.push(("scope", scope.to_owned()));
        self
    }

    /// Adds the required age of the sign-in to the challenge (RFC 9470, section 3).
    #[must_use]
    pub fn challenge_max_age(mut self, max_age: Duration) -> Self {
        Arc::make_mut(&mut self.0).challenge_parameters.push(("max_age", max_age.as_secs().to_string()));
        self
    }

    /// Returns the body members that not every code has.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        &self.0.members
    }

    /// Returns the content for a kept refusal: what the response says about the refusal, with fewer errors.
    #[must_use]
    pub fn to_record(&self) -> Value {
        let content = self.content();
        let mut essence = Map::new();
        essence.insert("code".to_owned(), json!(content.code));
        essence.insert("title".to_owned(), json!(content.code.title()));
        essence.insert("detail".to_owned(), json!(content.detail));
        essence.insert("action".to_owned(), json!(content.action));
        essence.insert("terminal".to_owned(), json!(content.terminal));
        essence.extend(content.members.clone());
        if !content.kept_errors.is_empty() {
            essence.insert("errors".to_owned(), json!(content.kept_errors));
        }
        Value::Object(essence)
    }

    #[must_use]
    pub fn next_action(&self) -> Action {
        self.0.action
    }

    /// Returns true if the session is over, so that the client should discard its credentials.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.0.terminal
    }

    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns what was found and what to do next.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    #[must_use]
    pub fn field_errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// Returns the name of the body member that a conflict is about.
    #[must_use]
    pub fn pointer(&self) -> Option<&str> {
        self.0.members.get("pointer").and_then(Value::as_str).map(|pointer| pointer.trim_start_matches('/'))
    }

    pub(super) fn content(&self) -> &Content {
        &self.0
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Refusal({}: {})", self.0.code, self.0.detail)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.0.code, self.0.detail)
    }
}

impl std::error::Error for Refusal {}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.0.code.status()
    }

    /// Attaches the refusal to an empty response. The middleware `finish` knows the request and renders the
    /// body.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status_code());
        response.extensions_mut().insert(self.clone());
        response
    }
}
