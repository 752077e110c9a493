//! Scripts of other web origins: none, unless the settings name them. A preflight is answered before the guard.

use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};

use crate::config::Origin;

const METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// What scripts may read of an answer.
const EXPOSED: [&str; 5] = ["www-authenticate", "retry-after", "x-request-id", "etag", "location"];

/// The middleware. Credentials that a browser sends by itself are not let through: tokens are set by the script.
pub(super) fn middleware(origins: &[Origin]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(METHODS)
        .allowed_headers([AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH])
        .expose_headers(EXPOSED.map(HeaderName::from_static))
        .max_age(600)
        // Others get their answer without the headers, which their browser then keeps from the script.
        .block_on_origin_mismatch(false);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin.as_str()))
}
