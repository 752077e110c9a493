//! Reads the user behind a credential, as the guard needs them: their status, version and permissions.

use diesel::prelude::*;
use uuid::Uuid;

use super::names::Names;
use crate::database::named::named;

named! {
    /// The status of an account. An unknown one does not allow sign-ins.
    pub enum UserStatus {
        /// Sign-ins are allowed.
        Active = "active",
        /// Sign-ins and all credentials of the account are refused.
        Disabled = "disabled",
    }
}

impl UserStatus {
    /// Returns whether the account's credentials are accepted.
    #[must_use]
    pub fn is_active(&self) -> bool {
        *self == Self::Active
    }
}

named! {
    /// The reason why an account's version was increased, so that earlier access tokens are refused.
    pub enum AccountChange {
        RoleChanged = "role_changed",
        Enabled = "account_enabled",
        Disabled = "account_disabled",
        Deleted = "account_deleted",
    }
}

/// The columns of a [`Owner`]. The query must join users and roles.
macro_rules! owner_columns {
    () => {{
        use $crate::database::schema::{roles, users};
        (
            users::id,
            users::username,
            users::email,
            users::status,
            users::version,
            users::role,
            roles::permissions,
        )
            .nullable()
    }};
}
pub(crate) use owner_columns;

/// The user that a session or a token belongs to.
#[derive(Clone, Debug, Queryable)]
pub struct Owner {
    pub id: Uuid,
    pub username: String,
    pub email: Option<String>,
    pub status: UserStatus,
    /// Increases when the role or the status changes.
    pub version: i64,
    pub role: String,
    /// The role's permissions.
    #[diesel(deserialize_as = Vec<String>)]
    pub permissions: Names,
}
