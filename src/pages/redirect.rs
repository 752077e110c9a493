//! Redirects to other pages.

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;

/// Redirects to another page (RFC 9110, section 15.4.4).
#[must_use]
pub(crate) fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}
