//! Lets scripts from other web origins call the API, if the settings name the origins. Preflights are
//! answered before the guard runs.

use actix_cors::Cors;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN,
};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError, web};

use crate::config::WebOrigin;
use crate::refusal::{Code, Refusal};
use crate::state::State;

const METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The headers that scripts may send in addition to those that browsers always allow: our own, and those of
/// tracing libraries.
const HEADERS: [&str; 10] = [
    "authorization",
    "baggage",
    "content-type",
    "if-match",
    "if-none-match",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "x-doorward-trace",
    "x-request-id",
];

/// The response headers that scripts may read.
const EXPOSED: [&str; 5] = ["www-authenticate", "retry-after", "x-request-id", "etag", "location"];

/// Returns the middleware. It does not allow credentials that a browser sends by itself, such as cookies.
/// Scripts must send tokens.
pub(crate) fn middleware(origins: &[WebOrigin]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(METHODS)
        .allowed_headers(HEADERS.map(HeaderName::from_static))
        .expose_headers(EXPOSED.map(HeaderName::from_static))
        .max_age(600)
        // Other origins get a response without these headers. Their browsers then hide it from the script.
        .block_on_origin_mismatch(false);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin.as_str()))
}

/// Middleware: refuses a preflight that the browser would reject anyway, and says which part is not allowed
/// (Fetch standard, section 4.8).
pub(crate) async fn check_preflight<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match find_mistake(&request) {
        Some(detail) => {
            let refusal = Refusal::new(Code::PreflightRefused, detail);
            Ok(request.into_response(refusal.error_response()))
        }
        None => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
    }
}

fn find_mistake(request: &ServiceRequest) -> Option<String> {
    let header = |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    let (origin, method) = (header(ORIGIN)?, header(ACCESS_CONTROL_REQUEST_METHOD)?);
    if request.method() != Method::OPTIONS {
        return None;
    }
    let settings = &request.app_data::<web::Data<State>>()?.web.browser;
    if origin != settings.origin && !settings.script_origins.iter().any(|allowed| allowed == origin) {
        return Some(format!(
            "Scripts from `{}` cannot call this server. Its operator can add the origin to \
             DOORWARD_CORS_ORIGINS.",
            shown(origin)
        ));
    }
    if !METHODS.iter().any(|allowed| allowed.as_str() == method) {
        let allowed: Vec<&str> = METHODS.iter().map(Method::as_str).collect();
        let (method, allowed) = (shown(method), allowed.join(", "));
        return Some(format!(
            "Scripts from other origins cannot use the method `{method}`. Use one of: {allowed}."
        ));
    }
    let sent = header(ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default().split(',').map(str::trim);
    let is_allowed = |name: &&str| HEADERS.iter().any(|allowed| allowed.eq_ignore_ascii_case(name));
    let unknown: Vec<&str> = sent.filter(|name| !name.is_empty() && !is_allowed(name)).collect();
    (!unknown.is_empty()).then(|| {
        let (unknown, allowed) = (shown(&unknown.join(",")), HEADERS.join(", "));
        format!(
            "Scripts from other origins cannot send the header `{unknown}`. Leave it out. Allowed headers: \
             {allowed}."
        )
    })
}

/// Returns at most 200 printable characters of a header's value, for a detail.
fn shown(value: &str) -> String {
    value.chars().filter(|c| c.is_ascii_graphic() && *c != '`').take(200).collect()
}
