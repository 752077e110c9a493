//! Reads the path, the query and the body of a request, after the guard has authorized its caller.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::fields::{Draft, Fields, FromFields};
use super::routing::RequiresPermission;
use super::{json, parameters};
use crate::refusal::{self, Code, Dialect, FieldError, FieldErrors, Refusal};

/// The largest accepted body, in bytes.
pub const BODY_MAX: usize = 64 * 1024;

/// The time that a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// A part of a request that is read after the guard has authorized the caller.
pub trait Input: Sized + 'static {
    /// True if this part evaluates the conditional headers (RFC 9110, section 13). If no part of a changing
    /// request does, the guard refuses an `If-Match` that lists tags, since nothing there has versions.
    const READS_CONDITIONS: bool = false;

    /// True if this part reads the query, or reports each parameter together with the errors of the body.
    const READS_QUERY: bool = false;

    fn read(request: &HttpRequest, payload: Payload) -> impl Future<Output = Result<Self, Refusal>>;
}

/// Reads the input of a request. Refuses the parameters of an API request if no part of the input reads the
/// query.
///
/// # Errors
/// `validation_failed`, and those of the input.
pub async fn read_input<I: Input>(request: &HttpRequest, payload: Payload) -> Result<I, Refusal> {
    let unread = if I::READS_QUERY { FieldErrors::default() } else { unread_parameters(request) };
    if unread.is_empty() { I::read(request, payload).await } else { Err(Refusal::of_errors(unread)) }
}

/// Returns an error for each parameter of an API request that reads no query. A page ignores parameters,
/// because links to it may carry some for statistics.
fn unread_parameters(request: &HttpRequest) -> FieldErrors {
    match request.app_data::<Dialect>() {
        Some(Dialect::Problem) => parameters::refuse_all(request.query_string()),
        _ => FieldErrors::default(),
    }
}

impl Input for () {
    async fn read(_: &HttpRequest, _: Payload) -> Result<Self, Refusal> {
        Ok(())
    }
}

/// The UUIDs of the path, in order. A value that is not a UUID is refused with 404, like an unknown ID.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl Input for Path<Uuid> {
    async fn read(request: &HttpRequest, _: Payload) -> Result<Self, Refusal> {
        web::Path::<Uuid>::extract(request)
            .await
            .map(|id| Self(id.into_inner()))
            .map_err(|_| refusal::not_found())
    }
}

impl Input for Path<(Uuid, Uuid)> {
    async fn read(request: &HttpRequest, _: Payload) -> Result<Self, Refusal> {
        web::Path::<(Uuid, Uuid)>::extract(request)
            .await
            .map(|ids| Self(ids.into_inner()))
            .map_err(|_| refusal::not_found())
    }
}

/// The query string. Reports all unknown and malformed parameters at once. Every parameter is optional.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + 'static> Input for Query<T> {
    const READS_QUERY: bool = true;

    async fn read(request: &HttpRequest, _: Payload) -> Result<Self, Refusal> {
        parameters::read(request.query_string()).map(Self)
    }
}

/// The query string, with its errors. A handler can add errors that need more than the query.
#[derive(Clone, Debug)]
pub struct QueryDraft<T>(pub Draft<T>);

impl<T: DeserializeOwned + 'static> Input for QueryDraft<T> {
    const READS_QUERY: bool = true;

    async fn read(request: &HttpRequest, _: Payload) -> Result<Self, Refusal> {
        parameters::read_draft(request.query_string()).map(Self)
    }
}

/// A JSON body (RFC 8259). Reads it member by member, to report all errors at once.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<T: FromFields + 'static> Input for Json<T> {
    const READS_QUERY: bool = true;

    async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, Refusal> {
        Draft::<T>::read(request, payload).await?.finish(Vec::new()).map(Self)
    }
}

impl<T: FromFields + 'static> Input for Draft<T> {
    const READS_QUERY: bool = true;

    async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, Refusal> {
        let text = read_json(request, payload).await?;
        Fields::read_draft(&text, unread_parameters(request))
    }
}

async fn read_json(request: &HttpRequest, payload: Payload) -> Result<Vec<u8>, Refusal> {
    if !is_json(request) {
        let detail = "The body must be JSON: send `Content-Type: application/json`.";
        return Err(Refusal::new(Code::UnsupportedMediaType, detail));
    }
    read_body(request, payload).await
}

/// A JSON body that may be omitted.
#[derive(Clone, Debug)]
pub struct OptionalJson<T>(pub Option<T>);

impl<T: FromFields + 'static> Input for OptionalJson<T> {
    const READS_QUERY: bool = true;

    async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, Refusal> {
        if request.headers().contains_key(CONTENT_TYPE) {
            return Json::<T>::read(request, payload).await.map(|Json(body)| Self(Some(body)));
        }
        let text = read_body(request, payload).await?;
        if text.is_empty() {
            return read_input::<()>(request, Payload::None).await.map(|()| Self(None));
        }
        let detail = "The body must be JSON: send `Content-Type: application/json`.";
        Err(Refusal::new(Code::UnsupportedMediaType, detail))
    }
}

/// Form fields that may repeat, because a form has a checkbox for each value.
const REPEATABLE: [&str; 1] = ["scope"];

/// The number of form fields that are read, more than any form here has. Further fields are only counted.
const FIELDS_MAX: usize = 1_000;

/// The fields of a form (URL Standard, application/x-www-form-urlencoded).
#[derive(Clone, Debug, Default)]
pub struct Form {
    fields: Vec<(String, String)>,
    unread: usize,
}

impl Form {
    /// Returns the first value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Form {
    /// Returns true if the `Content-Type` declares a form.
    #[must_use]
    pub fn is_sent(request: &HttpRequest) -> bool {
        request.content_type().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }

    /// Returns every value of a field that may repeat.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns all fields with their values, in order.
    #[must_use]
    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// Returns all fields with their values, in order.
    #[must_use]
    pub fn into_fields(self) -> Vec<(String, String)> {
        self.fields
    }

    /// Parses a body, up to `FIELDS_MAX` fields.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        let fields = url::form_urlencoded::parse(body).take(FIELDS_MAX);
        let fields: Vec<_> = fields.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let all = if fields.len() < FIELDS_MAX {
            fields.len()
        } else {
            body.split(|byte| *byte == b'&').filter(|field| !field.is_empty()).count()
        };
        Self { unread: all - fields.len(), fields }
    }

    /// Returns an error if the form has more fields than are read.
    #[must_use]
    pub fn surplus(&self) -> Option<FieldError> {
        let all = self.unread + self.fields.len();
        let detail = format!("the form has {all} fields, but only {FIELDS_MAX} are read; send fewer");
        (self.unread > 0).then(|| FieldError::new("", "too_many", detail))
    }

    /// Refuses a form that repeats a field, because a proxy may have checked a different copy.
    ///
    /// # Errors
    /// `validation_failed`, with an error for each repeated field.
    fn check(self) -> Result<Self, Refusal> {
        let mut errors: FieldErrors = self.surplus().into_iter().collect();
        let mut seen = HashSet::new();
        for (name, _) in &self.fields {
            if !REPEATABLE.contains(&name.as_str()) && !seen.insert(name) {
                let detail = "this field was sent more than once; send it once";
                errors.push_with(|| FieldError::new(json::step(name), "duplicate_field", detail.to_owned()));
            }
        }
        if errors.is_empty() { Ok(self) } else { Err(Refusal::of_errors(errors)) }
    }
}

impl Input for Form {
    async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, Refusal> {
        if !Self::is_sent(request) {
            let detail = "The body must be a form: send `Content-Type: application/x-www-form-urlencoded`.";
            return Err(Refusal::new(Code::UnsupportedMediaType, detail));
        }
        Self::parse(&read_body(request, payload).await?).check()
    }
}

impl<A, B> Input for (Path<A>, B)
where
    A: 'static,
    Path<A>: Input,
    B: Input,
{
    const READS_CONDITIONS: bool = B::READS_CONDITIONS;
    const READS_QUERY: bool = B::READS_QUERY;

    async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, Refusal> {
        let path = Path::<A>::read(request, Payload::None).await?;
        Ok((path, B::read(request, payload).await?))
    }
}

/// Returns true if the body is declared as JSON. PATCH also accepts a merge patch (RFC 7396): every PATCH
/// here leaves omitted members unchanged.
fn is_json(request: &HttpRequest) -> bool {
    let sent = request.content_type().trim();
    sent.eq_ignore_ascii_case("application/json")
        || (request.method() == Method::PATCH && sent.eq_ignore_ascii_case("application/merge-patch+json"))
}

/// Reads the whole body, up to `BODY_MAX` bytes and within `BODY_DEADLINE`. The deadline stops a slow sender
/// from keeping its connection open indefinitely.
///
/// # Errors
/// `payload_too_large`; `unsupported_media_type` for a compressed body or a second `Content-Type`;
/// `malformed_json` for a body that arrives incomplete or too late.
pub async fn read_body(request: &HttpRequest, payload: Payload) -> Result<Vec<u8>, Refusal> {
    check_head(request)?;
    match tokio::time::timeout(BODY_DEADLINE, collect(payload, length_beside_upgrade(request))).await {
        Ok(body) => body,
        Err(_) => {
            let detail =
                format!("The body did not arrive within {} s. Send it again.", BODY_DEADLINE.as_secs());
            Err(Refusal::new(Code::MalformedJson, detail))
        }
    }
}

/// Refuses a body by the headers alone, before reading any of it.
fn check_head(request: &HttpRequest) -> Result<(), Refusal> {
    let headers = request.headers();
    if headers.get_all(CONTENT_TYPE).count() > 1 {
        let detail = "More than one Content-Type header was sent. Send exactly one.";
        return Err(Refusal::new(Code::UnsupportedMediaType, detail));
    }
    if headers.get_all(CONTENT_ENCODING).any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let detail = "Compressed bodies are not accepted. Send the body uncompressed, without \
                      `Content-Encoding`.";
        return Err(Refusal::new(Code::UnsupportedMediaType, detail));
    }
    if content_length(request).is_some_and(|length| length > BODY_MAX as u64) {
        return Err(too_large());
    }
    Ok(())
}

fn content_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok())
}

/// Returns the declared length of the body (0 if undeclared) of a request with `Upgrade` and without
/// `Transfer-Encoding`; otherwise `None`. The HTTP parser would read such a body to the end of the
/// connection, as if the upgrade were accepted. This server ignores `Upgrade` (RFC 9110, section 7.8).
fn length_beside_upgrade(request: &HttpRequest) -> Option<usize> {
    let headers = request.headers();
    let is_read_to_end = headers.contains_key(UPGRADE) && !headers.contains_key(TRANSFER_ENCODING);
    let length = || usize::try_from(content_length(request).unwrap_or(0)).unwrap_or(usize::MAX);
    is_read_to_end.then(length)
}

fn too_large() -> Refusal {
    let detail = format!("The body is larger than the allowed {BODY_MAX} bytes. Send a smaller one.");
    Refusal::new(Code::PayloadTooLarge, detail)
}

/// Collects the body, and stops after `length` bytes if a length is given.
async fn collect(mut payload: Payload, length: Option<usize>) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::new();
    while length.is_none_or(|length| body.len() < length) {
        let Some(chunk) = payload.next().await else { break };
        let chunk = chunk.map_err(|error| refusal::from_actix(&error.into()))?;
        if body.len() + chunk.len() > BODY_MAX {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    body.truncate(length.unwrap_or(usize::MAX));
    Ok(body)
}

/// A part of a request to a public endpoint, read without the guard.
pub struct Public<I>(pub I);

impl<I: Input> FromRequest for Public<I> {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { read_input(&request, payload).await.map(Public) })
    }
}

impl<I> RequiresPermission for Public<I> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duplicate_form_field_is_reported() {
        let refused = Form::parse(b"a=1&b=2&scope=x&a=3&b=4&scope=y").check().expect_err("twice");
        let pointers: Vec<&str> = refused.field_errors().iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/a", "/b"]);
    }

    #[test]
    fn fields_beyond_the_limit_are_counted() {
        let body = |count: usize| vec!["a=1"; count].join("&&");
        assert!(Form::parse(body(FIELDS_MAX).as_bytes()).surplus().is_none());
        let form = Form::parse(body(FIELDS_MAX + 7).as_bytes());
        assert_eq!((form.fields.len(), form.unread), (FIELDS_MAX, 7));
        let refused = form.check().expect_err("too many");
        assert!(refused.field_errors()[0].detail.contains("1007 fields"), "{:?}", refused.field_errors());
        assert_eq!(refused.field_errors().len(), 51);
    }
}
