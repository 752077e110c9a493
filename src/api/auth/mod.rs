//! Endpoints for signing in and out, refreshing, stepping up, registering and explaining.

pub(crate) mod explain;
pub mod login;
pub(crate) mod logout;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod step_up;

use crate::http::routing::Endpoint;
use crate::refusal::Code;

#[must_use]
pub fn routes() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/api/v1/auth/login").post(login::login).codes(&[
            Code::InvalidCredentials,
            Code::AccountDisabled,
            Code::PermissionDenied,
            Code::TooManyAttempts,
        ]),
        Endpoint::at("/api/v1/auth/refresh").post(refresh::refresh).codes(&[
            Code::TokenMalformed,
            Code::TokenSignatureInvalid,
            Code::TokenTypeMismatch,
            Code::RefreshTokenUnknown,
            Code::RefreshTokenReused,
            Code::SessionEnded,
            Code::SessionExpired,
            Code::AccountDisabled,
            Code::AccountDeleted,
            Code::InsufficientScope,
            Code::TooManyAttempts,
        ]),
        Endpoint::at("/api/v1/auth/logout").post(logout::logout).codes(&[
            Code::TokenMalformed,
            Code::TokenSignatureInvalid,
            Code::TokenTypeMismatch,
            Code::PermissionDenied,
        ]),
        Endpoint::at("/api/v1/auth/register").post(register::register).codes(&[
            Code::NotFound,
            Code::Conflict,
            Code::TooManyAttempts,
        ]),
        Endpoint::at("/api/v1/auth/explain")
            .post(explain::explain)
            .codes(&[Code::NotFound, Code::TooManyAttempts]),
        Endpoint::at("/api/v1/auth/step-up")
            .post(step_up::step_up)
            .codes(&[Code::PermissionDenied, Code::TooManyAttempts]),
    ]
}
