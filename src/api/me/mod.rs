//! Endpoints for the caller's own account, sessions and personal tokens.

pub(crate) mod password;
pub(crate) mod profile;
pub(crate) mod sessions;
pub(crate) mod tokens;

use actix_web::http::Method;

use crate::http::routing::Endpoint;
use crate::refusal::Code;

#[must_use]
pub(crate) fn routes() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/api/v1/me")
            .get(profile::show)
            .patch(profile::update)
            .codes(&[Code::PreconditionFailed])
            .codes_of(&Method::PATCH, &[Code::Conflict, Code::TooManyAttempts]),
        Endpoint::at("/api/v1/me/password").post(password::change).codes(&[Code::TooManyAttempts]),
        Endpoint::at("/api/v1/me/sessions").get(sessions::list).delete(sessions::end_others),
        Endpoint::at("/api/v1/me/sessions/{id}").delete(sessions::end).codes(&[Code::NotFound]),
        Endpoint::at("/api/v1/me/tokens").get(tokens::list).post(tokens::create).codes_of(
            &Method::POST,
            &[Code::AuthenticationTooOld, Code::InsufficientScope, Code::TooManyAttempts],
        ),
        Endpoint::at("/api/v1/me/tokens/{id}").delete(tokens::revoke).codes(&[Code::NotFound]),
    ]
}
