//! Builds responses that carry a refusal: the problem document, the headers of a code, the request ID.

use actix_web::HttpResponse;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use actix_web::http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::body::Refusal;
use super::challenge;
use super::code::Code;
use super::dialect::{RequestId, RequestSummary};
use crate::clock::{Clock, rfc3339};

/// The refusal in a response's extensions, for the log, the metrics and the kept refusals.
#[derive(Clone, Debug)]
pub struct AnsweredRefusal(pub Refusal);

/// The settings with which problem documents are written.
#[derive(Clone, Debug, Default)]
pub struct RenderContext {
    /// The public URL. The URIs of problem types are below it.
    pub base: String,
    /// The clock for `server_time`.
    pub clock: Clock,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that lists the media types of PATCH (RFC 5789, section 3.1).
pub const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// The media types of PATCH.
pub const PATCHES: HeaderValue = HeaderValue::from_static("application/merge-patch+json, application/json");

/// Adds the request ID to the headers of a response.
pub(crate) fn write_request_id(headers: &mut HeaderMap, id: RequestId) {
    let mut text = Uuid::encode_buffer();
    if let Ok(value) = HeaderValue::from_str(id.0.hyphenated().encode_lower(&mut text)) {
        headers.insert(REQUEST_ID, value);
    }
}

/// Returns the problem document of a refusal (RFC 9457).
#[must_use]
pub(crate) fn problem_document(
    refusal: &Refusal,
    request: &RequestSummary,
    rendering: &RenderContext,
) -> HttpResponse {
    let members = Value::Object(members(refusal, request.id, rendering));
    let mut answer = json(refusal.code().status(), "application/problem+json", &members);
    write_headers(refusal, request.is_tool, answer.headers_mut());
    if refusal.code() == Code::UnsupportedMediaType && request.method == Method::PATCH {
        answer.headers_mut().insert(ACCEPT_PATCH, PATCHES);
    }
    answer
}

/// Returns the JSON response of another dialect. Adds `Retry-After`, and to a 401 a challenge with this realm.
#[must_use]
pub(crate) fn foreign_document(
    refusal: &Refusal,
    status: StatusCode,
    body: &Value,
    realm: &str,
) -> HttpResponse {
    let mut answer = json(status, "application/json", body);
    if status == StatusCode::UNAUTHORIZED {
        challenge::write_realm(realm, answer.headers_mut());
    }
    write_retry_after(refusal, answer.headers_mut());
    answer
}

/// Adds the headers of a refusal to a page that shows it and has its status. Logs and metrics then count the
/// page as that refusal.
pub fn mark_refused(page: &mut HttpResponse, refusal: &Refusal) {
    if page.status() == refusal.code().status() {
        write_headers(refusal, false, page.headers_mut());
    }
    page.extensions_mut().insert(AnsweredRefusal(refusal.clone()));
}

fn json(status: StatusCode, content_type: &'static str, body: &Value) -> HttpResponse {
    let mut answer = HttpResponse::new(status);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.map_body(|_, _| actix_web::body::BoxBody::new(body.to_string()))
}

/// Adds the headers that the code or this refusal requires.
fn write_headers(refusal: &Refusal, is_tool: bool, headers: &mut HeaderMap) {
    let content = refusal.content();
    challenge::write(content, is_tool, headers);
    write_retry_after(refusal, headers);
    let methods: Vec<&str> = content.allow.iter().map(Method::as_str).collect();
    if let Ok(allow) = HeaderValue::from_str(&methods.join(", "))
        && !methods.is_empty()
    {
        headers.insert(ALLOW, allow);
    }
}

fn write_retry_after(refusal: &Refusal, headers: &mut HeaderMap) {
    if let Some(seconds) = refusal.content().retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// Returns the members of a problem document, in the documented order.
fn members(refusal: &Refusal, id: RequestId, rendering: &RenderContext) -> Map<String, Value> {
    let content = refusal.content();
    let code = content.code;
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("type", json!(format!("{}/problems/{code}", rendering.base)));
    put("title", json!(code.title()));
    put("status", json!(code.status().as_u16()));
    put("detail", json!(content.detail));
    put("instance", json!(format!("urn:uuid:{}", id.0)));
    put("code", json!(code));
    put("request_id", json!(id.0));
    put("action", json!(content.action));
    put("terminal", json!(content.terminal));
    put("server_time", json!(rfc3339(rendering.clock.now())));
    for (name, value) in &content.members {
        put(name, value.clone());
    }
    if !content.errors.is_empty() {
        put("errors", json!(content.errors));
    }
    members
}
