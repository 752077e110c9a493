//! `/admin`: users, the audit log and the state of the server, for those who have the permissions.

pub(crate) mod audit;
pub(crate) mod chart;
pub(crate) mod keys;
pub(crate) mod link;
pub(crate) mod overview;
pub(crate) mod refusals;
pub(crate) mod settings;
pub(crate) mod user;
pub(crate) mod users;

use crate::http::routing::Endpoint;
use crate::refusal::Code;

#[must_use]
pub(crate) fn routes() -> Vec<Endpoint> {
    let writing = [
        Code::AuthenticationTooOld,
        Code::NotFound,
        Code::PreconditionFailed,
        Code::Conflict,
        Code::LastAdmin,
    ];
    let at = |path| Endpoint::at(path).codes(&writing);
    vec![
        Endpoint::at("/admin").get(overview::show),
        Endpoint::at("/admin/users").get(users::show),
        at("/admin/users/new").get(users::new).post(users::create),
        at("/admin/users/{id}").get(user::show).post(user::change),
        at("/admin/users/{id}/role").post(user::change_role),
        at("/admin/users/{id}/disable").post(user::disable),
        at("/admin/users/{id}/enable").post(user::enable),
        at("/admin/users/{id}/password").post(user::set_password),
        at("/admin/users/{id}/password-link").post(user::make_link),
        at("/admin/users/{id}/end-sessions").post(user::end_sessions),
        at("/admin/users/{id}/sessions/{sid}/end").post(user::end_session),
        at("/admin/users/{id}/tokens/{tid}/revoke").post(user::revoke_token),
        at("/admin/users/{id}/revoke-tokens").get(user::ask_revoke_tokens).post(user::revoke_tokens),
        at("/admin/users/{id}/delete").get(user::ask_delete).post(user::delete),
        Endpoint::at("/admin/audit").get(audit::show),
        Endpoint::at("/admin/audit.csv").get(audit::csv),
        Endpoint::at("/admin/audit.json").get(audit::json),
        Endpoint::at("/admin/refusals").get(refusals::show),
        Endpoint::at("/admin/refusals/{id}").get(refusals::explain).codes(&[Code::NotFound]),
        Endpoint::at("/admin/keys").get(keys::show),
        at("/admin/keys/rotate").post(keys::rotate),
        Endpoint::at("/admin/settings").get(settings::show),
    ]
}
