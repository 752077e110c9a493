//! Redirects to other pages.

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;

/// Redirects to another page (RFC 9110, section 15.4.4).
#[must_use]
pub(crate) fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}

/// Redirects password managers to the form for a new password (W3C, "A Well-Known URL for Changing Passwords").
pub(crate) async fn to_password() -> HttpResponse {
    see_other("/account/password")
}
