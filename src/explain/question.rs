//! Reads a question about a credential or a request, and answers it. The API and the page share its rules and
//! limits.

use actix_web::http::Method;
use serde_json::Value;
use uuid::Uuid;

use super::explanation::{self, Asker, Explanation, NOT_KEPT};
use super::pasted::{self, METHOD_MAX, PATH_MAX, Target};
use crate::audit::Origin;
use crate::guard::Caller;
use crate::http::fields::{Fields, FromFields};
use crate::http::routing::RouteTable;
use crate::operations::throttle;
use crate::refusal::{Code, Refusal};
use crate::state::State;

/// A question whose members fit together.
#[derive(Clone)]
pub(crate) enum ExplainSubject {
    /// About the pasted credential, and optionally about a request with it.
    Token(String, Option<Target>),
    /// About the request with this ID.
    Request(Uuid),
}

impl ExplainSubject {
    /// Reads what a person pasted into one field: a request ID, a refusal that contains one, or anything with a
    /// credential. An empty method and path are omitted.
    ///
    /// # Errors
    /// `validation_failed`, with the names of the API's members.
    pub(crate) fn of_text(text: &str, method: &str, path: &str) -> Result<Self, Refusal> {
        let text = text.trim().trim_start_matches('\u{feff}').trim_start();
        let (token, request_id) = match pasted::request_id(text) {
            Some(id) => (None, Some(id.to_string())),
            None => (Some(text.to_owned()), None),
        };
        let members = [
            ("token", token),
            ("request_id", request_id),
            ("method", Some(method.trim().to_owned())),
            ("path", Some(path.trim().to_owned())),
        ];
        let filled = members.into_iter().filter_map(|(name, text)| {
            let text = text.filter(|text| !text.is_empty())?;
            Some((name.to_owned(), Value::from(text)))
        });
        Fields::draft::<Self>(Value::Object(filled.collect()))?.finish(Vec::new())
    }

    /// Answers the question. An asker without a credential is throttled and learns no more than the refusal
    /// itself says.
    ///
    /// # Errors
    /// `too_many_attempts`; `not_found` if nothing is kept of the request; those of the server.
    pub(crate) async fn answer(
        self,
        state: &State,
        routes: &RouteTable,
        origin: &Origin,
        caller: Option<&Caller>,
    ) -> Result<Explanation, Refusal> {
        if caller.is_none() {
            throttle::count_unverified(state, origin).await?;
        }
        let asker = caller.map_or(Asker::Anonymous, Asker::Caller);
        match self {
            Self::Token(text, target) => {
                explanation::explain(state, pasted::read(&text), target, routes, asker).await
            }
            Self::Request(id) => {
                let found = explanation::explain_request(state, id, asker).await?;
                found.ok_or_else(|| Refusal::new(Code::NotFound, NOT_KEPT))
            }
        }
    }
}

impl FromFields for ExplainSubject {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let token = fields.optional_text("token");
        let request_id = fields.optional_text("request_id");
        let target = read_target(fields);
        match (token, request_id) {
            (Some(token), None) => Some(Self::Token(token, target)),
            (None, Some(id)) => match Uuid::try_parse(id.trim().trim_start_matches("urn:uuid:")) {
                Ok(id) => Some(Self::Request(id)),
                Err(_) => {
                    fields.refuse(
                        "request_id",
                        "invalid",
                        "is not a request id; a refusal's `request_id` is a UUID",
                    );
                    None
                }
            },
            (None, None) => {
                fields.refuse("token", "required", "is missing; send `token` or `request_id`");
                None
            }
            (Some(_), Some(_)) => {
                fields.refuse("request_id", "ambiguous", "cannot be sent together with `token`");
                None
            }
        }
    }
}

/// Reads `method` and `path`. Returns `None` if both are omitted, and if an error was recorded.
fn read_target(fields: &mut Fields) -> Option<Target> {
    match (fields.optional_text("method"), fields.optional_text("path")) {
        (None, None) => None,
        (Some(method), Some(path)) if method.len() > METHOD_MAX || path.len() > PATH_MAX => {
            for (name, length, most) in [("method", method.len(), METHOD_MAX), ("path", path.len(), PATH_MAX)]
            {
                if length > most {
                    fields.refuse(
                        name,
                        "too_long",
                        format!("{length} bytes were sent, but only {most} are allowed"),
                    );
                }
            }
            None
        }
        (Some(method), Some(path)) => {
            let known = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
            let path_only = path.split(['?', '#']).next().unwrap_or_default().to_owned();
            match known {
                Ok(method) if path_only.starts_with('/') => Some(Target { method, path: path_only }),
                Ok(_) => {
                    fields.refuse(
                        "path",
                        "invalid",
                        "is not a path; send one that starts with `/`, without a host",
                    );
                    None
                }
                Err(_) => {
                    fields.refuse("method", "invalid", "is not an HTTP method");
                    None
                }
            }
        }
        (Some(_), None) => {
            fields.refuse("path", "required", "is missing; it is required with `method`");
            None
        }
        (None, Some(_)) => {
            fields.refuse("method", "required", "is missing; it is required with `path`");
            None
        }
    }
}
