//! The last word on every answer: its request id, and the body of a refusal. Panics and errors that are not ours
//! become problems here.

use std::panic::AssertUnwindSafe;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError, web};
use chrono::SecondsFormat;
use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::body::Problem;
use super::challenge;
use super::code::Code;
use super::foreign;
use crate::clock::Clock;
use crate::random;

/// The request's id, made here for each; one that came in is only logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub Uuid);

/// What was refused, for the log and the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub Code);

/// What bodies are written with.
#[derive(Clone, Debug)]
pub struct Rendering {
    /// The public URL: problem types lie under it.
    pub base: String,
    /// For `server_time`.
    pub clock: Clock,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The middleware.
///
/// # Errors
/// None: every error becomes an answer.
pub async fn finish(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = RequestId(random::request_id());
    request.extensions_mut().insert(id);
    let asked = request.request().clone();
    // A panic poisons nothing here: what handlers share is behind locks that shrug at poison.
    let answered = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    let response = match answered {
        Ok(Ok(response)) => response.map_into_boxed_body(),
        Ok(Err(error)) => ServiceResponse::new(asked, respond(&error)),
        Err(panic) => {
            tracing::error!(request_id = %id.0, panic = panic_text(&*panic), "a handler panicked");
            ServiceResponse::new(asked, foreign::internal().error_response())
        }
    };
    Ok(write(response, id))
}

fn respond(error: &Error) -> HttpResponse {
    match error.as_error::<Problem>() {
        Some(problem) => problem.error_response(),
        None => foreign::from_actix(error).error_response(),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("")
}

fn write(mut response: ServiceResponse<BoxBody>, id: RequestId) -> ServiceResponse<BoxBody> {
    let problem = problem_of(&response);
    if let Some(problem) = problem {
        response = render(response, &problem, id);
    }
    if let Ok(value) = HeaderValue::from_str(&id.0.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The problem of an answer: its own, or what an empty answer of the router or an extractor stands for.
fn problem_of(response: &ServiceResponse<BoxBody>) -> Option<Problem> {
    let own = response.response().extensions().get::<Problem>().cloned();
    if own.is_some() {
        return own;
    }
    if let Some(error) = response.response().error() {
        return Some(foreign::from_actix(error));
    }
    let is_bare = !response.headers().contains_key(CONTENT_TYPE);
    (is_bare && response.status() == StatusCode::NOT_FOUND)
        .then(|| foreign::no_route(response.request().path()))
}

fn render(response: ServiceResponse<BoxBody>, problem: &Problem, id: RequestId) -> ServiceResponse<BoxBody> {
    let request = response.request().clone();
    let mut rendered = HttpResponse::new(problem.code().status());
    let headers = rendered.headers_mut();
    // Headers that outer parts have set already (CORS, …) stay.
    for (name, value) in response.headers() {
        headers.append(name.clone(), value.clone());
    }
    write_headers(problem, request.headers(), headers);
    let base = request.app_data::<web::Data<Rendering>>();
    let text = json!(body(problem, id, base.map(|data| data.as_ref()))).to_string();
    let head = *request.method() == Method::HEAD;
    let mut rendered = rendered.set_body(BoxBody::new(text));
    if head {
        // The encoder leaves the body out and keeps its length.
        rendered.head_mut().no_chunking(true);
    }
    rendered.extensions_mut().insert(Refused(problem.code()));
    ServiceResponse::new(request, rendered)
}

fn write_headers(problem: &Problem, asked: &HeaderMap, headers: &mut HeaderMap) {
    let content = problem.content();
    headers.insert(CONTENT_TYPE, PROBLEM_JSON);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let asked_by_tool = !asked.contains_key("sec-fetch-mode") && !asked.contains_key(ORIGIN);
    challenge::write(content, asked_by_tool, headers);
    if let Some(seconds) = content.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    let methods: Vec<&str> = content.allow.iter().map(Method::as_str).collect();
    if let Ok(allow) = HeaderValue::from_str(&methods.join(", "))
        && !methods.is_empty()
    {
        headers.insert(ALLOW, allow);
    }
}

/// The members of the body, in the order of the contract.
fn body(problem: &Problem, id: RequestId, rendering: Option<&Rendering>) -> Map<String, Value> {
    let content = problem.content();
    let code = content.code;
    let base = rendering.map_or("", |rendering| rendering.base.as_str());
    let clock = rendering.map(|rendering| rendering.clock.clone()).unwrap_or_default();
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("type", json!(format!("{base}/problems/{code}")));
    put("title", json!(code.title()));
    put("status", json!(code.status().as_u16()));
    put("detail", json!(content.detail));
    put("instance", json!(format!("urn:uuid:{}", id.0)));
    put("code", json!(code));
    put("request_id", json!(id.0));
    put("action", json!(content.action));
    put("terminal", json!(content.terminal));
    put("server_time", json!(clock.now().to_rfc3339_opts(SecondsFormat::Secs, true)));
    for (name, value) in &content.members {
        put(name, value.clone());
    }
    if !content.errors.is_empty() {
        put("errors", json!(content.errors));
    }
    members
}
