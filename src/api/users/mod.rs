//! Users, for those who manage them.

pub mod accounts;
pub mod password;
pub mod sessions;
pub mod tokens;

use crate::guard::{Caller, Requirement, refusal};
use crate::problem::{Code, FieldError, Problem};
use crate::routing::Endpoint;
use crate::users::change::Change;
use crate::users::user::{Access, Authority};

/// To see users.
pub struct UsersRead;

impl Requirement for UsersRead {
    const PERMISSION: Option<&'static str> = Some("users:read");
}

/// To change users. It grants power, so it asks for a recent sign-in.
pub struct UsersWrite;

impl Requirement for UsersWrite {
    const PERMISSION: Option<&'static str> = Some("users:write");
    const FRESH: bool = true;
}

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

/// What a caller may hand on: nobody grants what he lacks.
fn authority(caller: &Caller) -> Authority {
    Authority::Limited(caller.permissions.clone())
}

fn refuse_change(change: Change, caller: &Caller) -> Problem {
    match change {
        Change::NotFound => crate::guard::input::not_found(),
        Change::NameTaken(taken) => refusal::name_taken(taken),
        Change::UnknownRole => unknown_role(),
        Change::Denied(lacking) => refusal::permission_denied(&lacking, &caller.role),
        Change::LastAdmin => {
            let detail = "This is the last active admin, who can be neither disabled, demoted nor deleted. Make \
                          another one first.";
            Problem::new(Code::LastAdmin, detail)
        }
        Change::Done(_) => refusal::internal(),
    }
}

fn unknown_role() -> Problem {
    let detail = "no such role; the built-in ones are viewer, member and admin".to_owned();
    Problem::validation(vec![FieldError::new("/role", "unknown_role", detail)])
}

fn refuse_access(access: Access, caller: &Caller) -> Problem {
    match access {
        Access::Denied(lacking) => refusal::permission_denied(&lacking, &caller.role),
        Access::NotFound | Access::Granted => crate::guard::input::not_found(),
    }
}
