//! The JSON door.

pub mod audit_events;
pub mod auth;
pub mod health;
pub mod jwks;
pub mod me;
pub mod users;

use crate::http::routing::Endpoint;

/// Every route under `/api/v1` that is not a resource's.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    [auth::routes(), me::routes(), users::routes(), audit_events::routes()].into_iter().flatten().collect()
}

/// What stands beside `/api/v1`, for those who operate and integrate.
#[must_use]
pub fn open_routes() -> Vec<Endpoint> {
    [health::routes(), jwks::routes()].into_iter().flatten().collect()
}
