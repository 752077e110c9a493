//! `/.well-known/jwks.json`: the public keys, for whoever verifies access tokens without asking (RFC 7517).

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};

use crate::http::response::FOR_ALL;
use crate::http::routing::Endpoint;
use crate::state::State;

/// The routes.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    vec![Endpoint::at("/.well-known/jwks.json").get(jwks)]
}

/// The key set. May be kept for 5 minutes: a new key stands in it for twice as long before it signs.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "operation", security(()),
    responses((status = 200, description = "The key set (RFC 7517)", body = Object)))]
pub async fn jwks(state: web::Data<State>) -> HttpResponse {
    let set = state.tokens.keys.current().jwks_at(state.core.clock.now());
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=300")).insert_header(FOR_ALL).json(set)
}
