//! The caching headers of answers, and answers that are in memory once.

use actix_web::http::header::{CACHE_CONTROL, VARY};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};

/// An answer that no cache may keep (RFC 6749, section 5.1).
#[must_use]
pub fn no_store(mut answer: HttpResponseBuilder) -> HttpResponseBuilder {
    answer.insert_header((CACHE_CONTROL, "no-store"));
    answer
}

/// An answer that depends on who asks and may be kept by the asker alone.
#[must_use]
pub fn private(mut answer: HttpResponseBuilder) -> HttpResponseBuilder {
    answer.insert_header((CACHE_CONTROL, "private, no-cache")).insert_header((VARY, "Authorization, Cookie"));
    answer
}

/// On what is public, other sites' pages may load it too (Fetch Standard, `Cross-Origin-Resource-Policy`).
pub const FOR_ALL: (&str, &str) = ("cross-origin-resource-policy", "cross-origin");

/// Marks an answer whose body is in memory once, however many read it.
#[derive(Clone, Copy, Debug)]
pub struct IsInMemoryOnce;

/// Answers with bytes that are in memory for as long as the server runs.
#[must_use]
pub fn in_memory_once(mut answer: HttpResponseBuilder, bytes: Bytes) -> HttpResponse {
    let mut response = answer.body(bytes);
    response.extensions_mut().insert(IsInMemoryOnce);
    response
}
