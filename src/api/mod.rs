//! The JSON door.

pub mod audit_events;
pub mod auth;
pub mod me;
pub mod users;

use crate::routing::Endpoint;

/// Every route under `/api/v1` that is not a resource's.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    [auth::routes(), me::routes(), users::routes(), audit_events::routes()].into_iter().flatten().collect()
}
