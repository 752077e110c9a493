//! Endpoints for managing the accounts, sessions and personal tokens of other users.

pub(crate) mod accounts;
pub(crate) mod password;
pub(crate) mod sessions;
pub(crate) mod tokens;

use actix_web::http::Method;

use crate::http::routing::Endpoint;
use crate::refusal::Code;

#[must_use]
pub(crate) fn routes() -> Vec<Endpoint> {
    let (reading, writing) = ([Code::NotFound], [Code::NotFound, Code::AuthenticationTooOld]);
    vec![
        Endpoint::at("/api/v1/users")
            .get(accounts::list)
            .post(accounts::create)
            .codes_of(&Method::POST, &[Code::AuthenticationTooOld, Code::Conflict]),
        Endpoint::at("/api/v1/users/{id}")
            .get(accounts::show)
            .patch(accounts::update)
            .delete(accounts::delete)
            .codes(&reading)
            .codes_of(
                &Method::PATCH,
                &[Code::AuthenticationTooOld, Code::PreconditionFailed, Code::Conflict, Code::LastAdmin],
            )
            .codes_of(
                &Method::DELETE,
                &[Code::AuthenticationTooOld, Code::PreconditionFailed, Code::LastAdmin],
            ),
        Endpoint::at("/api/v1/users/{id}/password").post(password::set).codes(&writing),
        Endpoint::at("/api/v1/users/{id}/sessions")
            .get(sessions::list)
            .delete(sessions::end_all)
            .codes(&reading)
            .codes_of(&Method::DELETE, &[Code::AuthenticationTooOld]),
        Endpoint::at("/api/v1/users/{id}/sessions/{sid}").delete(sessions::end).codes(&writing),
        Endpoint::at("/api/v1/users/{id}/tokens")
            .get(tokens::list)
            .delete(tokens::revoke_all)
            .codes(&reading)
            .codes_of(&Method::DELETE, &[Code::AuthenticationTooOld]),
        Endpoint::at("/api/v1/users/{id}/tokens/{tid}").delete(tokens::revoke).codes(&writing),
    ]
}
