//! The JSON API.

pub(crate) mod audit_events;
pub mod auth;
pub(crate) mod health;
pub(crate) mod jwks;
pub(crate) mod me;
pub(crate) mod users;

use crate::http::routing::Endpoint;
use crate::refusal::Dialect;

/// The roots of endpoints for programs. Unmatched paths below them are refused with a problem document.
pub const ROOTS: [(&str, Dialect); 4] = [
    ("api", Dialect::Problem),
    (".well-known", Dialect::Problem),
    ("healthz", Dialect::Problem),
    ("readyz", Dialect::Problem),
];

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
