//! `/account`: the pages of the signed-in user's own account.

pub(crate) mod events;
pub(crate) mod password;
pub(crate) mod profile;
pub(crate) mod refusals;
pub(crate) mod sessions;
pub(crate) mod tokens;

use crate::http::routing::Endpoint;
use crate::refusal::Code;

#[must_use]
pub(crate) fn routes() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/account")
            .get(profile::show)
            .post(profile::change)
            .codes(&[Code::Conflict, Code::PreconditionFailed]),
        Endpoint::at("/account/password").get(password::show).post(password::change),
        Endpoint::at("/account/sessions").get(sessions::show),
        Endpoint::at("/account/sessions/end-others").post(sessions::end_others),
        Endpoint::at("/account/sessions/{id}/end").post(sessions::end),
        Endpoint::at("/account/tokens").get(tokens::show),
        Endpoint::at("/account/tokens/new")
            .get(tokens::new)
            .post(tokens::make)
            .codes(&[Code::AuthenticationTooOld]),
        Endpoint::at("/account/tokens/{id}/revoke").post(tokens::revoke),
        Endpoint::at("/account/activity").get(events::show),
        Endpoint::at("/account/refusals").get(refusals::show),
        Endpoint::at("/account/refusals/{id}").get(refusals::explain).codes(&[Code::NotFound]),
    ]
}
