//! `/.well-known/jwks.json`: publishes the keys with which other services verify access tokens themselves
//! (RFC 7517).

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};

use crate::http::response::FOR_ALL;
use crate::http::routing::Endpoint;
use crate::state::State;

#[must_use]
pub(crate) fn routes() -> Vec<Endpoint> {
    vec![Endpoint::at("/.well-known/jwks.json").get(jwks)]
}

/// Returns the public keys that verify access tokens.
///
/// The response may be cached for 5 minutes. A new key is published 10 minutes before it signs.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "operation", security(()),
    responses((status = 200, description = "The key set (RFC 7517)", body = Object)))]
pub(crate) async fn jwks(state: web::Data<State>) -> HttpResponse {
    let set = state.tokens.keys.current().jwks_at(state.core.clock.now());
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=300")).insert_header(FOR_ALL).json(set)
}
