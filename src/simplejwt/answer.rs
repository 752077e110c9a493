//! The paths of the routes, and the form of their responses.

use actix_web::HttpResponse;
use actix_web::http::header::ALLOW;
use serde::Serialize;

use crate::http::response::no_store;

/// The path that exchanges a password for a pair of tokens.
pub(crate) const OBTAIN: &str = "/api/token/";
/// The path that exchanges a refresh token for an access token.
pub(crate) const REFRESH: &str = "/api/token/refresh/";
/// The path that checks a token.
pub(crate) const VERIFY: &str = "/api/token/verify/";
/// The path that ends the session of a refresh token.
pub(crate) const BLACKLIST: &str = "/api/token/blacklist/";

/// The value of `Allow` for each path. Django REST framework sends it with every response.
pub(crate) const ALLOWED: &str = "POST, OPTIONS";

/// Builds a response with status 200 that no cache may store.
pub(crate) fn answer(body: &impl Serialize) -> HttpResponse {
    no_store(HttpResponse::Ok()).insert_header((ALLOW, ALLOWED)).json(body)
}

/// An empty object.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SimplejwtNothing)]
pub(crate) struct Nothing {}
