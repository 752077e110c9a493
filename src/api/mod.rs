//! The JSON API.

pub mod audit_events;
pub mod auth;
pub mod health;
pub mod jwks;
pub mod me;
pub mod users;

use crate::http::routing::Endpoint;

/// Returns all routes under `/api/v1`, except those of resources.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    [auth::routes(), me::routes(), users::routes(), audit_events::routes()].into_iter().flatten().collect()
}

/// Returns the public routes outside of `/api/v1`, for operators and integrators.
#[must_use]
pub fn open_routes() -> Vec<Endpoint> {
    [health::routes(), jwks::routes()].into_iter().flatten().collect()
}
