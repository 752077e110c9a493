//! Notes: short texts that a user keeps for himself or shares. The resource to copy for the next one.

pub mod handlers;
pub mod note;
pub mod permissions;
pub mod refold;
pub mod search;

use actix_web::http::Method;

use crate::http::routing::Endpoint;
use crate::refusal::Code;

/// The routes.
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
