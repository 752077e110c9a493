//! The paths of the routes, and their answers.

use actix_web::HttpResponse;
use actix_web::http::header::ALLOW;
use serde::Serialize;

use crate::http::response::no_store;

/// Where a password is traded for a pair of tokens.
pub const OBTAIN: &str = "/api/token/";
/// Where a refresh token is traded for an access token.
pub const REFRESH: &str = "/api/token/refresh/";
/// Where a token is looked at.
pub const VERIFY: &str = "/api/token/verify/";
/// Where a refresh token's session is ended.
pub const BLACKLIST: &str = "/api/token/blacklist/";

/// What may be asked for at each of them, as Django REST framework says with every answer.
pub const ALLOWED: &str = "POST, OPTIONS";

/// Returns an answer that no cache keeps.
pub fn answer(body: &impl Serialize) -> HttpResponse {
    no_store(HttpResponse::Ok()).insert_header((ALLOW, ALLOWED)).json(body)
}

/// What is answered where there is nothing to say.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SimplejwtNothing)]
pub struct Nothing {}
