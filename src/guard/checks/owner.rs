//! Checks the account that a credential belongs to, and makes its user the caller.

use super::evidence;
use crate::guard::caller::{Caller, Credential};
use crate::guard::check::Check;
use crate::guard::refusals;
use crate::guard::trace::Trace;
use crate::refusal::Refusal;
use crate::tokens::names::Names;
use crate::tokens::owner::{Owner, UserStatus};

/// Checks that the account exists and is active. Returns its user.
pub(super) fn check_user<'a>(user: Option<&'a Owner>, trace: &mut Trace) -> Result<&'a Owner, Refusal> {
    let user = find_user(user, trace)?;
    trace.check(Check::User, check_status(&user.status)).map(|()| user)
}

/// Checks that the account exists. Returns its user, who may be disabled.
pub(super) fn find_user<'a>(user: Option<&'a Owner>, trace: &mut Trace) -> Result<&'a Owner, Refusal> {
    let user = trace.check(Check::User, user.ok_or_else(refusals::account_deleted))?;
    trace.add_finding(Check::User, || evidence::user(user));
    Ok(user)
}

pub(super) fn check_status(status: &UserStatus) -> Result<(), Refusal> {
    if status.is_active() { Ok(()) } else { Err(refusals::account_disabled()) }
}

pub(super) fn caller(user: &Owner, scope: Names, credential: Credential) -> Caller {
    Caller {
        user_id: user.id,
        username: user.username.clone(),
        email: user.email.clone(),
        role: user.role.clone(),
        permissions: user.permissions.clone(),
        scope,
        credential,
        version: user.version,
        required: None,
    }
}
