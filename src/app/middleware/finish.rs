//! Middleware that adds the request ID to every response and writes each refusal in the dialect of its
//! endpoint. It turns panics and actix-web's own errors into refusals.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, SET_COOKIE, VARY};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse};
use futures_util::FutureExt;

use crate::http::request::Form;
use crate::http::routing::RouteTable;
use crate::refusal::answer::{
    AnsweredRefusal, RenderContext, mark_refused, problem_document, write_request_id,
};
use crate::refusal::dialect::{Dialect, RequestSummary};
use crate::refusal::{self, Refusal, from_actix};
use crate::{pages, simplejwt};

/// Runs the inner services and finishes their response.
///
/// # Errors
/// An error whose response is already finished.
pub async fn finish(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let writer = Writer::of(&request);
    // This is unwind safe: handlers share state only behind locks that ignore poisoning.
    let refusal = match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(Ok(response)) => return Ok(writer.finish(response.map_into_boxed_body()).await),
        Ok(Err(error)) => from_actix(&error),
        Err(panic) => {
            let request_id = writer.request.id.0;
            tracing::error!(%request_id, panic = panic_text(&*panic), "a handler panicked");
            refusal::internal()
        }
    };
    let mut answer = writer.write(&refusal, None, None).await;
    write_request_id(answer.headers_mut(), writer.request.id);
    Err(InternalError::from_response(refusal, answer).into())
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("")
}

/// Writes the refusal of one request.
struct Writer {
    request: RequestSummary,
    rendering: Option<Data<RenderContext>>,
    routes: Option<Data<RouteTable>>,
}

impl Writer {
    fn of(request: &ServiceRequest) -> Self {
        Self {
            request: RequestSummary::of(request),
            rendering: request.app_data().cloned(),
            routes: request.app_data().cloned(),
        }
    }

    async fn finish(&self, mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        if let Some(refusal) = refusal_of(&response) {
            let form = response.request().extensions().get::<Form>().cloned();
            let mut answer = self.write(&refusal, form.as_ref(), Some(response.request())).await;
            keep_headers(response.headers(), answer.headers_mut());
            response = response.into_response(answer);
        }
        write_request_id(response.headers_mut(), self.request.id);
        response
    }

    /// Writes the refusal in the dialect of its endpoint. A page may repeat the form that was refused, and show
    /// the name of the request's sender.
    async fn write(
        &self,
        refusal: &Refusal,
        form: Option<&Form>,
        request: Option<&HttpRequest>,
    ) -> HttpResponse {
        let mut answer = match self.dialect() {
            Dialect::SimpleJwt => simplejwt::refused(refusal, &self.request),
            Dialect::Page => self.page(refusal, form, request).await,
            Dialect::ByAccept if self.request.prefers_html => self.page(refusal, form, request).await,
            Dialect::Problem | Dialect::ByAccept => self.problem_document(refusal),
        };
        answer.extensions_mut().insert(AnsweredRefusal(refusal.clone()));
        if self.request.method == Method::HEAD { without_body(answer) } else { answer }
    }

    fn dialect(&self) -> Dialect {
        self.routes.as_ref().map(|routes| routes.dialect(&self.request.path())).unwrap_or_default()
    }

    async fn page(
        &self,
        refusal: &Refusal,
        form: Option<&Form>,
        request: Option<&HttpRequest>,
    ) -> HttpResponse {
        match pages::refused(refusal, &self.request, form, request).await {
            Ok(mut page) => {
                mark_refused(&mut page, refusal);
                page
            }
            Err(_) => self.problem_document(refusal),
        }
    }

    fn problem_document(&self, refusal: &Refusal) -> HttpResponse {
        let rendering = self.rendering.as_deref().cloned().unwrap_or_default();
        problem_document(refusal, &self.request, &rendering)
    }
}

/// Returns the refusal of a response: the one attached to it, or the one for an extractor's error.
fn refusal_of(response: &ServiceResponse<BoxBody>) -> Option<Refusal> {
    let own = response.response().extensions().get::<Refusal>().cloned();
    own.or_else(|| response.response().error().map(from_actix))
}

/// Copies the headers that inner services have set (CORS, cookies), except those that the refusal sets itself.
fn keep_headers(inner: &HeaderMap, headers: &mut HeaderMap) {
    let kept =
        inner.iter().filter(|(name, _)| [SET_COOKIE, VARY].contains(name) || !headers.contains_key(*name));
    let kept: Vec<_> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    for (name, value) in kept {
        headers.append(name, value);
    }
}

/// Replaces the body by its length, for a response to HEAD (RFC 9110, section 9.3.2).
fn without_body(answer: HttpResponse) -> HttpResponse {
    answer.map_body(|_, body| match body.size() {
        BodySize::Sized(length) => BoxBody::new(LengthOnly(length)),
        BodySize::None | BodySize::Stream => body,
    })
}

/// A body that has a length but is never sent.
struct LengthOnly(u64);

impl MessageBody for LengthOnly {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}
