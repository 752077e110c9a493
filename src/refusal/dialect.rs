//! The dialects in which refusals are written, and the facts of a request that a dialect may use.

use actix_web::HttpMessage;
use actix_web::dev::{ServiceRequest, Url};
use actix_web::http::header::{ACCEPT, ORIGIN};
use actix_web::http::{Method, Uri};
use uuid::Uuid;

use crate::random;

/// The dialect of an endpoint's refusals. Logs, metrics, kept refusals and explanations use our own code in any
/// dialect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// A problem document (RFC 9457).
    #[default]
    Problem,
    /// A page for a person.
    Page,
    /// A page for clients that prefer HTML, a problem document for others.
    ByAccept,
    /// The statuses and bodies of djangorestframework-simplejwt.
    SimpleJwt,
}

impl Dialect {
    /// Returns true if its endpoints accept only the session cookie. Browsers add an `Authorization` header to
    /// forms of other sites too, and no page needs the header.
    #[must_use]
    pub fn takes_cookie_alone(self) -> bool {
        matches!(self, Self::Page | Self::ByAccept)
    }
}

/// The request ID, generated here. An ID sent by the client is only logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub Uuid);

/// The parts of a request that are needed after it was handled. A clone of the request cannot be kept, because
/// actix-web must be its only owner.
#[derive(Debug)]
pub struct RequestSummary {
    pub id: RequestId,
    pub method: Method,
    uri: Uri,
    /// True if `Accept` starts with `text/html`.
    pub prefers_html: bool,
    /// True if the client is not a browser, which would show a sign-in dialog for Basic.
    pub(super) is_tool: bool,
}

impl RequestSummary {
    /// Copies them, and adds a new request ID to the extensions of the request.
    #[must_use]
    pub fn of(request: &ServiceRequest) -> Self {
        const HTML: &[u8] = b"text/html";
        let headers = request.headers();
        let accept = headers.get(ACCEPT).map(|types| types.as_bytes()).unwrap_or_default();
        let id = RequestId(random::request_id());
        request.extensions_mut().insert(id);
        Self {
            id,
            method: request.method().clone(),
            uri: request.uri().clone(),
            prefers_html: accept.starts_with(HTML),
            is_tool: !headers.contains_key("sec-fetch-mode")
                && !headers.contains_key(ORIGIN)
                && !accept.windows(HTML.len()).any(|part| part.eq_ignore_ascii_case(HTML)),
        }
    }

    /// Returns the path with the query, as it was sent.
    #[must_use]
    pub fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    /// Returns the path as the router decodes it.
    #[must_use]
    pub fn path(&self) -> String {
        Url::new(self.uri.clone()).path().to_owned()
    }

    /// Returns true if the method is safe (RFC 9110, section 9.2.1).
    #[must_use]
    pub fn is_safe(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}
