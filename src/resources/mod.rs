//! Guarded resources, a folder each: the one place where a door and a noun live together.

pub mod notes;

use crate::http::routing::Endpoint;

/// Every resource's routes. A new resource adds its line here.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    [notes::routes()].into_iter().flatten().collect()
}
