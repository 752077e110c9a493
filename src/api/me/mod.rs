//! Oneself: who I am, my sessions, my tokens.

pub mod password;
pub mod profile;
pub mod sessions;
pub mod tokens;

use crate::guard::Requirement;
use crate::problem::Code;
use crate::routing::Endpoint;

/// To see what is listed under `/me`.
pub struct AccountRead;

impl Requirement for AccountRead {
    const PERMISSION: Option<&'static str> = Some("account:read");
}

/// To change something under `/me`. No personal token carries it.
pub struct AccountWrite;

impl Requirement for AccountWrite {
    const PERMISSION: Option<&'static str> = Some("account:write");
}

/// To change what grants power: also asks for a recent sign-in.
pub struct FreshAccountWrite;

impl Requirement for FreshAccountWrite {
    const PERMISSION: Option<&'static str> = Some("account:write");
    const FRESH: bool = true;
}

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
