//! Oneself: who I am, my sessions, my tokens.

pub mod password;
pub mod profile;
pub mod sessions;
pub mod tokens;

use crate::problem::Code;
use crate::routing::Endpoint;

/// The routes.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/api/v1/me").get(profile::show).patch(profile::update).codes(&[Code::Conflict]),
        Endpoint::at("/api/v1/me/password").post(password::change),
        Endpoint::at("/api/v1/me/sessions").get(sessions::list).delete(sessions::end_others),
        Endpoint::at("/api/v1/me/sessions/{id}").delete(sessions::end).codes(&[Code::NotFound]),
        Endpoint::at("/api/v1/me/tokens")
            .get(tokens::list)
            .post(tokens::create)
            .codes(&[Code::AuthenticationTooOld, Code::InsufficientScope]),
        Endpoint::at("/api/v1/me/tokens/{id}").delete(tokens::revoke).codes(&[Code::NotFound]),
    ]
}
