//! Sets the caching headers of responses, and marks responses whose body stays in memory.

use actix_web::http::header::{CACHE_CONTROL, VARY};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};

/// Forbids caches to store the response (RFC 6749, section 5.1).
#[must_use]
pub(crate) fn no_store(mut answer: HttpResponseBuilder) -> HttpResponseBuilder {
    answer.insert_header((CACHE_CONTROL, "no-store"));
    answer
}

/// Marks a response that depends on the caller. Only the caller's own cache may store it.
#[must_use]
pub(crate) fn private(mut answer: HttpResponseBuilder) -> HttpResponseBuilder {
    answer.insert_header((CACHE_CONTROL, "private, no-cache")).insert_header((VARY, "Authorization, Cookie"));
    answer
}

/// Lets pages of other sites load a public resource (Fetch Standard, `Cross-Origin-Resource-Policy`).
pub(crate) const FOR_ALL: (&str, &str) = ("cross-origin-resource-policy", "cross-origin");

/// Marks a response whose body is in memory once, however many clients read it. The limits on unread
/// responses do not count it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedBody;

/// Responds with bytes that stay in memory as long as the server runs. The limits on unread responses do not
/// count them.
#[must_use]
pub(crate) fn in_memory_once(mut answer: HttpResponseBuilder, bytes: Bytes) -> HttpResponse {
    let mut response = answer.body(bytes);
    response.extensions_mut().insert(SharedBody);
    response
}
