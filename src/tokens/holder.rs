//! The user behind a credential, as the guard sees him.

use diesel::prelude::*;
use uuid::Uuid;

use super::names::Names;

/// The columns of a [`Holder`], where users and roles are joined.
macro_rules! holder_columns {
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
pub(crate) use holder_columns;

/// The user that a session or a token belongs to.
#[derive(Clone, Debug, Queryable)]
pub struct Holder {
    /// The id.
    pub id: Uuid,
    /// The name.
    pub username: String,
    /// The address.
    pub email: Option<String>,
    /// `active` or `disabled`.
    pub status: String,
    /// Raised by changes of role and status.
    pub version: i64,
    /// The role's name.
    pub role: String,
    /// What the role may.
    #[diesel(deserialize_as = Vec<String>)]
    pub permissions: Names,
}
