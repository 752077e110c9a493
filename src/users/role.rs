//! Roles and their permissions. A role's row lists its permissions; the constants name the built-in ones.

use diesel::prelude::*;

use crate::database::schema::roles;

/// The built-in role that can read resources and change its own account.
pub const VIEWER: &str = "viewer";
/// The built-in role that can also write its own records.
pub const MEMBER: &str = "member";
/// The built-in role with every permission. The last active user of this role must remain.
pub const ADMIN: &str = "admin";

/// The roles that every installation has.
pub const BUILT_IN: [&str; 3] = [VIEWER, MEMBER, ADMIN];

/// The role of a registered account, and of a new account if the request names none.
pub const DEFAULT: &str = MEMBER;

/// The permission to read one's own account.
pub const ACCOUNT_READ: &str = "account:read";
/// The permission to change one's own account. Personal tokens cannot have it, because such a token could
/// create others.
pub const ACCOUNT_WRITE: &str = "account:write";
/// The permission to read the audit log and the kept refusals.
pub const AUDIT_READ: &str = "audit:read";
/// The permission to read users.
pub const USERS_READ: &str = "users:read";
/// The permission to change users. An account with it can act on others, including the caller's own account.
pub const USERS_WRITE: &str = "users:write";
/// The permission to read the server's state.
pub const SERVER_READ: &str = "server:read";
/// The permission to change the server's signing keys.
pub const SERVER_WRITE: &str = "server:write";

/// The permissions that every account has over itself.
pub const OVER_ITSELF: [&str; 2] = [ACCOUNT_READ, ACCOUNT_WRITE];

/// Returns a role's permissions. Returns `None` if the role does not exist.
pub fn find_permissions(connection: &mut PgConnection, role: &str) -> QueryResult<Option<Vec<String>>> {
    roles::table.find(role).select(roles::permissions).first(connection).optional()
}

/// Returns the roles and their permissions, by name.
pub fn list(connection: &mut PgConnection) -> QueryResult<Vec<(String, Vec<String>)>> {
    roles::table.order(roles::name).load(connection)
}
