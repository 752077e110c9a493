//! The HTML door, for people.

pub mod set_password;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use askama::Template;

use crate::guard::refusal;
use crate::problem::Problem;
use crate::routing::Endpoint;

/// What a page may load and where its forms may go.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The routes.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    set_password::routes()
}

/// A page, which no cache keeps.
fn answer(status: StatusCode, page: &impl Template) -> Result<HttpResponse, Problem> {
    let html = page.render().map_err(|error| {
        tracing::error!(%error, "a page could not be made");
        refusal::internal()
    })?;
    Ok(HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("content-security-policy", POLICY))
        .body(html))
}
