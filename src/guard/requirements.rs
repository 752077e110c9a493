//! What endpoints ask of their callers, as types: one for each way to ask.

use super::authorized::Requirement;

/// To see one's own account.
pub struct AccountRead;

impl Requirement for AccountRead {
    const PERMISSION: Option<&'static str> = Some("account:read");
}

/// To change something of one's own account. No personal token carries it.
pub struct AccountWrite;

impl Requirement for AccountWrite {
    const PERMISSION: Option<&'static str> = Some("account:write");
}

/// To change what grants power, of one's own: also asks for a recent sign-in.
pub struct FreshAccountWrite;

impl Requirement for FreshAccountWrite {
    const PERMISSION: Option<&'static str> = Some("account:write");
    const FRESH: bool = true;
}

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

/// To see how the server stands.
pub struct ServerRead;

impl Requirement for ServerRead {
    const PERMISSION: Option<&'static str> = Some("server:read");
}

/// To change the server's signing keys. It grants power, so it asks for a recent sign-in.
pub struct ServerWrite;

impl Requirement for ServerWrite {
    const PERMISSION: Option<&'static str> = Some("server:write");
    const FRESH: bool = true;
}

/// To read the audit log.
pub struct AuditRead;

impl Requirement for AuditRead {
    const PERMISSION: Option<&'static str> = Some("audit:read");
}
