//! Notes: short texts that users keep private or share. Copy this folder to start a new resource.

pub(crate) mod handlers;
pub mod note;
pub(crate) mod permissions;
pub mod refold;
pub mod search;

use actix_web::http::Method;

use crate::http::routing::Endpoint;
use crate::refusal::Code;

/// Returns the routes of notes, with the codes that they can return besides those of the guard.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    let changing = [Code::NotOwner, Code::PreconditionFailed, Code::Conflict];
    vec![
        Endpoint::at("/api/v1/notes").get(handlers::list).post(handlers::create),
        Endpoint::at("/api/v1/notes/{id}")
            .get(handlers::show)
            .patch(handlers::update)
            .put(handlers::replace)
            .delete(handlers::delete)
            .codes(&[Code::NotFound])
            .codes_of(&Method::PATCH, &changing)
            .codes_of(&Method::PUT, &changing)
            .codes_of(&Method::DELETE, &changing),
    ]
}
