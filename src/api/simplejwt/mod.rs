//! `/api/token/…`: sign-in, refresh, check and sign-out in the words of djangorestframework-simplejwt, over the same
//! sessions as everything else. What its clients send is taken as Django REST framework takes it, and they are answered
//! and refused as it does.

pub mod blacklist;
pub mod body;
pub mod multipart;
pub mod obtain;
pub mod refresh;
pub mod refusal;
mod shallow;
pub mod verify;

use actix_web::HttpResponse;
use actix_web::http::header::ALLOW;
use serde::Serialize;

use crate::guard::issue::no_store;
use crate::routing::Endpoint;

pub use refusal::translate;

/// Where a password is traded for a pair of tokens.
const OBTAIN: &str = "/api/token/";
/// Where a refresh token is traded for an access token.
const REFRESH: &str = "/api/token/refresh/";
/// Where a token is looked at.
const VERIFY: &str = "/api/token/verify/";
/// Where a refresh token's session is ended.
const BLACKLIST: &str = "/api/token/blacklist/";

/// What may be asked for at each of them, as Django REST framework says with every answer.
const ALLOWED: &str = "POST, OPTIONS";

/// The routes, where the setting asks for them.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    vec![
        Endpoint::at(OBTAIN).post(obtain::obtain),
        Endpoint::at(REFRESH).post(refresh::refresh),
        Endpoint::at(VERIFY).post(verify::verify),
        Endpoint::at(BLACKLIST).post(blacklist::blacklist),
    ]
}

fn answer(body: &impl Serialize) -> HttpResponse {
    no_store(HttpResponse::Ok()).insert_header((ALLOW, ALLOWED)).json(body)
}

/// What is answered where there is nothing to say.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SimplejwtNothing)]
pub struct Nothing {}
