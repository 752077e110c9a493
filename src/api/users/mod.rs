//! Users, for those who manage them.

pub mod accounts;
pub mod password;
pub mod sessions;
pub mod tokens;

use crate::problem::Code;
use crate::routing::Endpoint;

/// The routes.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    let writing = [Code::AuthenticationTooOld, Code::NotFound];
    vec![
        Endpoint::at("/api/v1/users")
            .get(accounts::list)
            .post(accounts::create)
            .codes(&[Code::AuthenticationTooOld, Code::Conflict]),
        Endpoint::at("/api/v1/users/{id}")
            .get(accounts::show)
            .patch(accounts::update)
            .delete(accounts::delete)
            .codes(&[Code::AuthenticationTooOld, Code::NotFound, Code::Conflict, Code::LastAdmin]),
        Endpoint::at("/api/v1/users/{id}/password").post(password::set).codes(&writing),
        Endpoint::at("/api/v1/users/{id}/sessions")
            .get(sessions::list)
            .delete(sessions::end_all)
            .codes(&writing),
        Endpoint::at("/api/v1/users/{id}/sessions/{sid}").delete(sessions::end).codes(&writing),
        Endpoint::at("/api/v1/users/{id}/tokens").get(tokens::list).codes(&[Code::NotFound]),
        Endpoint::at("/api/v1/users/{id}/tokens/{tid}").delete(tokens::revoke).codes(&writing),
    ]
}
