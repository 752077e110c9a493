//! Every refusal in simplejwt's words: its statuses and its bodies, made of what the guard found.

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{ALLOWED, BLACKLIST, OBTAIN, REFRESH, VERIFY};
use crate::refusal::{Asked, Code, Problem, Translated};

/// The realm of simplejwt's challenge.
const REALM: &str = "api";

/// A refusal as simplejwt has it.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = SimplejwtRefusal)]
#[allow(dead_code)] // of the description alone
pub struct Detail {
    /// What is wrong.
    #[schema(example = "Token is expired")]
    pub detail: String,
    /// `token_not_valid` of a token; a code of ours where simplejwt has none.
    #[schema(example = "token_not_valid")]
    pub code: Option<String>,
}

/// What the routes refuse with, for their description.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code)] // of the description alone
pub enum Refusals {
    /// What is wrong with which field (`non_field_errors`: with all of it), or `detail` where the body is not JSON.
    #[response(status = 400)]
    Fields(BodyRefusal),
    /// The password or the token is not good.
    #[response(status = 401)]
    Credential(Detail),
    /// Only POST is answered.
    #[response(status = 405)]
    Method(Detail),
    /// The body is larger than 64 KiB.
    #[response(status = 413)]
    Large(Detail),
    /// The body is neither JSON nor a form.
    #[response(status = 415)]
    Media(Detail),
    /// Asked too often: `Retry-After` says when to try again.
    #[response(status = 429)]
    Throttled(Detail),
    /// A fault of ours.
    #[response(status = 500)]
    Internal(Detail),
    /// A fault of ours that passes: `Retry-After` says when to try again.
    #[response(status = 503)]
    Unavailable(Detail),
}

/// What is wrong, field by field.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = SimplejwtFieldErrors)]
pub struct FieldErrors(pub std::collections::BTreeMap<String, Vec<String>>);

/// What is wrong with a body.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = SimplejwtBodyRefusal)]
#[serde(untagged)]
#[allow(dead_code)] // of the description alone
pub enum BodyRefusal {
    /// It could be read.
    Fields(FieldErrors),
    /// It could not.
    Detail(Detail),
}

/// A refusal at one of simplejwt's paths, in its words.
#[must_use]
pub fn translate(problem: &Problem, asked: &Asked) -> Option<Translated> {
    let path = asked.target().split('?').next().unwrap_or_default();
    if ![OBTAIN, REFRESH, VERIFY, BLACKLIST].contains(&path) {
        return None;
    }
    let (status, body) = say(problem, asked.method.as_str(), path);
    Some(Translated { status, body, realm: REALM, allow: ALLOWED })
}

fn say(problem: &Problem, method: &str, path: &str) -> (StatusCode, Value) {
    let code = problem.code();
    match code {
        Code::ValidationFailed => (StatusCode::BAD_REQUEST, field_errors(problem)),
        Code::MethodNotAllowed => (code.status(), detail(&format!("Method \"{method}\" not allowed."))),
        // Said in its words where it was found.
        Code::MalformedJson | Code::UnsupportedMediaType | Code::PayloadTooLarge => {
            (code.status(), detail(problem.detail()))
        }
        Code::TooManyAttempts => (code.status(), detail(&throttled(problem))),
        Code::InvalidCredentials => (code.status(), detail(NO_ACCOUNT)),
        // Which of the two it is stands in the record alone.
        Code::AccountDisabled if path == OBTAIN => (code.status(), detail(NO_ACCOUNT)),
        Code::AccountDisabled | Code::AccountDeleted => (code.status(), detail(NO_ACCOUNT_OF_TOKEN)),
        _ => match verdict(code) {
            Some(BLACKLISTED) if path == VERIFY => {
                (StatusCode::BAD_REQUEST, json!({ "non_field_errors": [BLACKLISTED] }))
            }
            Some(verdict) => {
                (StatusCode::UNAUTHORIZED, json!({ "detail": verdict, "code": "token_not_valid" }))
            }
            None => (code.status(), json!({ "detail": problem.detail(), "code": code })),
        },
    }
}

const NO_ACCOUNT: &str = "No active account found with the given credentials";
const NO_ACCOUNT_OF_TOKEN: &str = "No active account found for the given token.";
const BLACKLISTED: &str = "Token is blacklisted";

/// What simplejwt says of a token; `None`: it is not about the token. What was good and has been taken back is
/// blacklisted.
fn verdict(code: Code) -> Option<&'static str> {
    match code {
        Code::SessionEnded | Code::RefreshTokenReused | Code::TokenRevoked => Some(BLACKLISTED),
        Code::TokenExpired | Code::SessionExpired => Some("Token is expired"),
        Code::TokenTypeMismatch => Some("Token has wrong type"),
        Code::TokenMalformed
        | Code::TokenSignatureInvalid
        | Code::TokenNotYetValid
        | Code::TokenIssuerMismatch
        | Code::TokenAudienceMismatch
        | Code::TokenUnknown
        | Code::RefreshTokenUnknown => Some("Token is invalid"),
        _ => None,
    }
}

fn detail(text: &str) -> Value {
    json!({ "detail": text })
}

fn throttled(problem: &Problem) -> String {
    let seconds = problem.members().get("retry_after").and_then(Value::as_u64).unwrap_or(1);
    let plural = if seconds == 1 { "" } else { "s" };
    format!("Request was throttled. Expected available in {seconds} second{plural}.")
}

fn field_errors(problem: &Problem) -> Value {
    let mut errors: Map<String, Value> = Map::new();
    for error in problem.field_errors() {
        let name = error.pointer.strip_prefix('/').unwrap_or("non_field_errors");
        let list = errors.entry(name).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(json!(error.detail));
        }
    }
    Value::Object(errors)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_code_is_said_with_a_status_of_its_kind() {
        for code in Code::ALL {
            let (status, body) = say(&Problem::new(*code, "Why."), "POST", REFRESH);
            assert!(body.is_object(), "{code}");
            let ours = code.status();
            assert_eq!(status.is_server_error(), ours.is_server_error(), "{code}: a fault of ours stays one");
            assert_eq!(status == StatusCode::UNAUTHORIZED, ours == StatusCode::UNAUTHORIZED, "{code}");
            if ours.is_server_error() {
                assert_eq!(body, json!({ "detail": "Why.", "code": code }), "{code}");
            }
        }
    }

    #[test]
    fn who_is_throttled_is_told_for_how_long() {
        let of = |seconds| {
            let problem =
                Problem::new(Code::TooManyAttempts, "Wait.").retry_after(Duration::from_secs(seconds));
            say(&problem, "POST", OBTAIN).1["detail"].clone()
        };
        assert_eq!(of(1), "Request was throttled. Expected available in 1 second.");
        assert_eq!(of(60), "Request was throttled. Expected available in 60 seconds.");
    }
}
