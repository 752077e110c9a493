//! Guarded resources, a folder each. Only here do HTTP handlers and database queries share a folder.

pub mod notes;

use crate::http::routing::Endpoint;

/// Returns the routes of all resources. Add a line here for each new resource.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    [notes::routes()].into_iter().flatten().collect()
}
