//! The requirements of endpoints for their callers, each as a type.

use super::authorized::Requirement;
use crate::users::role;

/// Requires the permission to read one's own account.
pub(crate) struct AccountRead;

impl Requirement for AccountRead {
    const PERMISSION: Option<&'static str> = Some(role::ACCOUNT_READ);
}

/// Requires the permission to change one's own account. Personal tokens cannot have it.
pub(crate) struct AccountWrite;

impl Requirement for AccountWrite {
    const PERMISSION: Option<&'static str> = Some(role::ACCOUNT_WRITE);
}

/// Requires the permission to change one's own account and a recent sign-in, for changes that grant power.
pub(crate) struct FreshAccountWrite;

impl Requirement for FreshAccountWrite {
    const PERMISSION: Option<&'static str> = Some(role::ACCOUNT_WRITE);
    const FRESH: bool = true;
}

/// Requires the permission to read users.
pub(crate) struct UsersRead;

impl Requirement for UsersRead {
    const PERMISSION: Option<&'static str> = Some(role::USERS_READ);
}

/// Requires the permission to change users and a recent sign-in, because it grants power.
pub(crate) struct UsersWrite;

impl Requirement for UsersWrite {
    const PERMISSION: Option<&'static str> = Some(role::USERS_WRITE);
    const FRESH: bool = true;
}

/// Requires the permission to read the server's state.
pub(crate) struct ServerRead;

impl Requirement for ServerRead {
    const PERMISSION: Option<&'static str> = Some(role::SERVER_READ);
}

/// Requires the permission to change the server's signing keys and a recent sign-in, because it grants power.
pub(crate) struct ServerWrite;

impl Requirement for ServerWrite {
    const PERMISSION: Option<&'static str> = Some(role::SERVER_WRITE);
    const FRESH: bool = true;
}

/// Requires the permission to read the audit log.
pub(crate) struct AuditRead;

impl Requirement for AuditRead {
    const PERMISSION: Option<&'static str> = Some(role::AUDIT_READ);
}
