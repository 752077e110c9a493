//! Middleware that adds the request ID to every response and renders refusals. It turns panics and
//! actix-web's own errors into refusals.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER,
};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage, HttpResponse, web};
use chrono::SecondsFormat;
use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::body::Problem;
use super::code::Code;
use super::dialect::Translated;
use super::{challenge, from_actix};
use crate::clock::Clock;
use crate::random;

/// The request ID, generated here. An ID sent by the client is only logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub Uuid);

/// The refusal in a response, for the log, the metrics and the kept refusals.
#[derive(Clone, Debug)]
pub struct Refused(pub Problem);

/// The settings and functions with which refusals are rendered.
#[derive(Clone, Debug)]
pub struct Rendering {
    /// The public URL. The URIs of problem types are below it.
    pub base: String,
    /// The clock for `server_time`.
    pub clock: Clock,
    /// Rewords a refusal in another dialect. Returns `None` if our own applies.
    pub translate: fn(&Problem, &Asked) -> Option<Translated>,
    /// Shows a refusal as a page. Returns `None` if the client is a program.
    pub page: fn(&Problem, &Asked) -> Option<HttpResponse>,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that lists the media types of PATCH (RFC 5789, section 3.1).
pub const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// The media types of PATCH.
pub const PATCHES: HeaderValue = HeaderValue::from_static("application/merge-patch+json, application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The parts of a request that are needed after it was handled. A clone of the request cannot be kept,
/// because actix-web must be its only owner.
#[derive(Debug)]
pub struct Asked {
    pub id: RequestId,
    pub method: Method,
    uri: Uri,
    /// True if `Accept` starts with `text/html`.
    pub takes_html: bool,
    by_tool: bool,
    rendering: Option<web::Data<Rendering>>,
}

impl Asked {
    fn of(request: &ServiceRequest) -> Self {
        const HTML: &[u8] = b"text/html";
        let headers = request.headers();
        let accept = headers.get(ACCEPT).map(|types| types.as_bytes()).unwrap_or_default();
        Self {
            id: RequestId(random::request_id()),
            method: request.method().clone(),
            uri: request.uri().clone(),
            takes_html: accept.starts_with(HTML),
            by_tool: !headers.contains_key("sec-fetch-mode")
                && !headers.contains_key(ORIGIN)
                && !accept.windows(HTML.len()).any(|part| part.eq_ignore_ascii_case(HTML)),
            rendering: request.app_data::<web::Data<Rendering>>().cloned(),
        }
    }

    /// Returns the path with the query.
    #[must_use]
    pub fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }
}

/// Runs the inner services and finishes their response.
///
/// # Errors
/// An error whose response is already finished.
pub async fn finish(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let asked = Asked::of(&request);
    request.extensions_mut().insert(asked.id);
    // This is unwind safe: handlers share state only behind locks that ignore poisoning.
    let problem = match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(Ok(response)) => return Ok(write(response.map_into_boxed_body(), &asked)),
        Ok(Err(error)) => from_actix::from_actix(&error),
        Err(panic) => {
            tracing::error!(request_id = %asked.id.0, panic = panic_text(&*panic), "a handler panicked");
            from_actix::internal()
        }
    };
    let mut answer = render(&HeaderMap::new(), &problem, &asked);
    write_request_id(answer.headers_mut(), asked.id);
    Err(InternalError::from_response(problem, answer).into())
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("")
}

fn write(mut response: ServiceResponse<BoxBody>, asked: &Asked) -> ServiceResponse<BoxBody> {
    if let Some(problem) = problem_of(&response) {
        // Keeps the headers that inner services have set (CORS, …).
        let rendered = render(response.headers(), &problem, asked);
        response = response.into_response(rendered);
    }
    write_request_id(response.headers_mut(), asked.id);
    response
}

fn write_request_id(headers: &mut HeaderMap, id: RequestId) {
    let mut text = Uuid::encode_buffer();
    if let Ok(value) = HeaderValue::from_str(id.0.hyphenated().encode_lower(&mut text)) {
        headers.insert(REQUEST_ID, value);
    }
}

/// Returns the refusal of a response: the one attached to it, or the one for an extractor's error.
fn problem_of(response: &ServiceResponse<BoxBody>) -> Option<Problem> {
    let own = response.response().extensions().get::<Problem>().cloned();
    if own.is_some() {
        return own;
    }
    response.response().error().map(from_actix::from_actix)
}

fn render(kept: &HeaderMap, problem: &Problem, asked: &Asked) -> HttpResponse {
    let rendering = asked.rendering.as_ref();
    if let Some(translated) = rendering.and_then(|rendering| (rendering.translate)(problem, asked)) {
        let mut answer = translated.answer(kept);
        write_retry_after(problem, answer.headers_mut());
        return with_body(answer, &translated.body, problem, asked);
    }
    let mut answer = HttpResponse::new(problem.code().status());
    for (name, value) in kept {
        answer.headers_mut().append(name.clone(), value.clone());
    }
    if let Some(mut page) = rendering.and_then(|rendering| (rendering.page)(problem, asked)) {
        for (name, value) in answer.headers() {
            page.headers_mut().append(name.clone(), value.clone());
        }
        mark(&mut page, problem);
        return page;
    }
    answer.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    write_special_headers(problem, asked.by_tool, answer.headers_mut());
    if problem.code() == Code::UnsupportedMediaType && asked.method == Method::PATCH {
        answer.headers_mut().insert(ACCEPT_PATCH, PATCHES);
    }
    with_body(answer, &Value::Object(body(problem, asked)), problem, asked)
}

fn with_body(answer: HttpResponse, body: &Value, problem: &Problem, asked: &Asked) -> HttpResponse {
    let text = body.to_string();
    let mut answer = if asked.method == Method::HEAD {
        // HEAD reports the length of the body that GET would send.
        answer.set_body(BoxBody::new(HeadOf(text.len() as u64)))
    } else {
        answer.set_body(BoxBody::new(text))
    };
    answer.extensions_mut().insert(Refused(problem.clone()));
    answer
}

/// Adds the headers of a refusal to a page that shows it and has its status. Logs and metrics then count the
/// page as that refusal.
pub fn mark(page: &mut HttpResponse, problem: &Problem) {
    if page.status() == problem.code().status() {
        write_special_headers(problem, false, page.headers_mut());
    }
    page.extensions_mut().insert(Refused(problem.clone()));
}

/// A body that has a length but is never sent.
struct HeadOf(u64);

impl MessageBody for HeadOf {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

/// Writes the headers that the code or this refusal requires.
fn write_special_headers(problem: &Problem, asked_by_tool: bool, headers: &mut HeaderMap) {
    let content = problem.content();
    challenge::write(content, asked_by_tool, headers);
    write_retry_after(problem, headers);
    let methods: Vec<&str> = content.allow.iter().map(Method::as_str).collect();
    if let Ok(allow) = HeaderValue::from_str(&methods.join(", "))
        && !methods.is_empty()
    {
        headers.insert(ALLOW, allow);
    }
}

fn write_retry_after(problem: &Problem, headers: &mut HeaderMap) {
    if let Some(seconds) = problem.content().retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// Returns the members of the body, in the documented order.
fn body(problem: &Problem, asked: &Asked) -> Map<String, Value> {
    let (content, id) = (problem.content(), asked.id);
    let code = content.code;
    let base = asked.rendering.as_ref().map_or("", |rendering| rendering.base.as_str());
    let clock = asked.rendering.as_ref().map(|rendering| rendering.clock.clone()).unwrap_or_default();
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
