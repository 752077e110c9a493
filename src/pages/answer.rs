//! Renders pages as responses.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use askama::Template;

use crate::refusal::{self, Refusal};

/// The Content-Security-Policy: pages load only our own files and send forms only to us.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

/// Renders a page that no cache may store.
pub(crate) fn answer(status: StatusCode, page: &impl Template) -> Result<HttpResponse, Refusal> {
    let html = page.render().map_err(|error| {
        tracing::error!(%error, "a page could not be rendered");
        refusal::internal()
    })?;
    Ok(HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("content-security-policy", POLICY))
        .body(html))
}
