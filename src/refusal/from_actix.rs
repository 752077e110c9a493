//! Converts actix-web's own errors (from extractors, payloads and the router) into refusals.

use actix_web::Error;
use actix_web::error::{PathError, PayloadError, QueryPayloadError};
use actix_web::http::StatusCode;

use super::body::Refusal;
use super::code::Code;
use super::field_errors::FieldError;

/// Creates the refusal for a bug in the server.
#[must_use]
pub fn internal() -> Refusal {
    let detail = "The server failed; your request is fine. Try again later. The operator can find the cause \
                  in the log under this request id.";
    Refusal::new(Code::InternalError, detail)
}

/// Creates the refusal for a record that does not exist or that the caller is not allowed to see.
#[must_use]
pub fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "Not found, or you do not have access to it.")
}

/// Returns the refusal for an error of actix-web.
#[must_use]
pub fn from_actix(error: &Error) -> Refusal {
    if let Some(refusal) = error.as_error::<Refusal>() {
        return refusal.clone();
    }
    if let Some(QueryPayloadError::Deserialize(reason)) = error.as_error::<QueryPayloadError>() {
        return query(&reason.to_string());
    }
    if error.as_error::<PathError>().is_some() {
        return not_found();
    }
    if let Some(payload) = error.as_error::<PayloadError>() {
        return from_payload(payload);
    }
    match error.as_response_error().status_code() {
        StatusCode::NOT_FOUND => {
            Refusal::new(Code::NotFound, "Nothing exists at this address. Check the path.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::new(Code::PayloadTooLarge, "The body is too large. Send a smaller one.")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Refusal::new(Code::UnsupportedMediaType, "This endpoint does not accept the body's media type.")
        }
        status if status.is_client_error() => {
            let error = FieldError::new("", "invalid", "the form or query could not be read".into());
            Refusal::validation(vec![error])
        }
        _ => {
            tracing::error!(%error, "an unexpected error of actix-web");
            internal()
        }
    }
}

fn from_payload(error: &PayloadError) -> Refusal {
    match error {
        PayloadError::Overflow => {
            Refusal::new(Code::PayloadTooLarge, "The body is too large. Send a smaller one.")
        }
        PayloadError::EncodingCorrupted => {
            let detail = "The body's chunks do not follow `Transfer-Encoding: chunked`.";
            Refusal::new(Code::MalformedJson, detail)
        }
        _ => Refusal::new(Code::MalformedJson, "The body ended too early. Send it again."),
    }
}

/// Parses serde's error for a query string, which names the parameter between backquotes.
fn query(reason: &str) -> Refusal {
    let named = reason
        .split('`')
        .nth(1)
        .filter(|name| name.len() <= 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    let (code, detail) = if reason.starts_with("unknown field") {
        ("unknown_field", "this parameter is unknown; check its spelling or leave it out")
    } else if reason.starts_with("duplicate field") {
        ("duplicate_field", "this parameter was sent more than once; send it once")
    } else {
        ("invalid", "a parameter has the wrong type; /openapi.json says which type it has")
    };
    let pointer = named.filter(|_| code != "invalid").map_or(String::new(), |name| format!("/{name}"));
    Refusal::validation(vec![FieldError::new(pointer, code, detail.into())])
}
