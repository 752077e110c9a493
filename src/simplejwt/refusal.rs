//! Rewords every refusal like simplejwt: its status and its body.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue};
use serde_json::{Map, Value, json};

use super::answer::{ALLOWED, OBTAIN, VERIFY};
use crate::refusal::answer::foreign_document;
use crate::refusal::{Code, Refusal, RequestSummary};

/// The realm in simplejwt's challenge.
const REALM: &str = "api";

/// A refusal in simplejwt's words.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = SimplejwtRefusal)]
#[allow(dead_code)] // for the API description only
pub(crate) struct Detail {
    /// The explanation of the refusal.
    #[schema(example = "Token is expired")]
    pub detail: String,
    /// `token_not_valid` if a token was refused. Otherwise doorward's own code, if simplejwt has no such
    /// refusal.
    #[schema(example = "token_not_valid")]
    pub code: Option<String>,
}

/// The refusals of the routes, for the API description.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code)] // for the API description only
pub(crate) enum Refusals {
    /// The errors of each field (`non_field_errors` for the whole body), or a `detail` if the body cannot be
    /// parsed.
    #[response(status = 400)]
    Fields(BodyErrors),
    /// The password or the token was refused.
    #[response(status = 401)]
    Credential(Detail),
    /// Only POST is allowed.
    #[response(status = 405)]
    Method(Detail),
    /// The body is larger than 64 KiB.
    #[response(status = 413)]
    Large(Detail),
    /// The body is neither JSON nor a form.
    #[response(status = 415)]
    Media(Detail),
    /// Too many attempts: `Retry-After` says when to try again.
    #[response(status = 429)]
    Throttled(Detail),
    /// An error in the server.
    #[response(status = 500)]
    Internal(Detail),
    /// A temporary error in the server: `Retry-After` says when to try again.
    #[response(status = 503)]
    Unavailable(Detail),
}

/// The errors of each field.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = SimplejwtFieldErrors)]
pub(crate) struct FieldErrors(pub std::collections::BTreeMap<String, Vec<String>>);

/// The errors in a body.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[schema(as = SimplejwtBodyRefusal)]
#[serde(untagged)]
#[allow(dead_code)] // for the API description only
pub(crate) enum BodyErrors {
    /// The body could be parsed, but some fields are invalid.
    Fields(FieldErrors),
    /// The body could not be parsed.
    Detail(Detail),
}

/// Writes a refusal as simplejwt does.
#[must_use]
pub fn refused(refusal: &Refusal, request: &RequestSummary) -> HttpResponse {
    let (status, body) = translated(refusal, request.method.as_str(), &request.path());
    let mut answer = foreign_document(refusal, status, &body, REALM);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(ALLOWED));
    answer
}

fn translated(refusal: &Refusal, method: &str, path: &str) -> (StatusCode, Value) {
    let code = refusal.code();
    match code {
        Code::ValidationFailed => (StatusCode::BAD_REQUEST, field_errors(refusal)),
        Code::MethodNotAllowed => (code.status(), detail(&format!("Method \"{method}\" not allowed."))),
        // The reader of the body has worded these details already.
        Code::MalformedJson | Code::UnsupportedMediaType | Code::PayloadTooLarge => {
            (code.status(), detail(refusal.detail()))
        }
        Code::TooManyAttempts => (code.status(), detail(&throttled(refusal))),
        Code::InvalidCredentials => (code.status(), detail(NO_ACCOUNT)),
        // The response hides that the account is disabled. Only the kept refusal says it.
        Code::AccountDisabled if path == OBTAIN => (code.status(), detail(NO_ACCOUNT)),
        Code::AccountDisabled | Code::AccountDeleted => (code.status(), detail(NO_ACCOUNT_OF_TOKEN)),
        _ => match verdict(code) {
            Some(BLACKLISTED) if path == VERIFY => {
                (StatusCode::BAD_REQUEST, json!({ "non_field_errors": [BLACKLISTED] }))
            }
            Some(verdict) => {
                (StatusCode::UNAUTHORIZED, json!({ "detail": verdict, "code": "token_not_valid" }))
            }
            None => (code.status(), json!({ "detail": refusal.detail(), "code": code })),
        },
    }
}

const NO_ACCOUNT: &str = "No active account found with the given credentials";
const NO_ACCOUNT_OF_TOKEN: &str = "No active account found for the given token.";
const BLACKLISTED: &str = "Token is blacklisted";

/// Returns simplejwt's message about a token; `None` if the refusal is not about the token. A valid token
/// that was revoked counts as blacklisted.
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

fn throttled(refusal: &Refusal) -> String {
    let seconds = refusal.members().get("retry_after").and_then(Value::as_u64).unwrap_or(1);
    let plural = if seconds == 1 { "" } else { "s" };
    format!("Request was throttled. Expected available in {seconds} second{plural}.")
}

fn field_errors(refusal: &Refusal) -> Value {
    let mut errors: Map<String, Value> = Map::new();
    for error in refusal.field_errors() {
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

    use super::super::answer::REFRESH;
    use super::*;

    #[test]
    fn every_code_keeps_its_kind_of_status() {
        for code in Code::ALL {
            let (status, body) = translated(&Refusal::new(*code, "Why."), "POST", REFRESH);
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
    fn throttling_message_has_the_wait_in_seconds() {
        let of = |seconds| {
            let refusal =
                Refusal::new(Code::TooManyAttempts, "Wait.").retry_after(Duration::from_secs(seconds));
            translated(&refusal, "POST", OBTAIN).1["detail"].clone()
        };
        assert_eq!(of(1), "Request was throttled. Expected available in 1 second.");
        assert_eq!(of(60), "Request was throttled. Expected available in 60 seconds.");
    }
}
