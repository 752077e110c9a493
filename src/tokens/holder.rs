//! Reads the user behind a credential, as the guard needs them.

use diesel::prelude::*;
use uuid::Uuid;

use super::names::Names;

/// The columns of a [`Holder`]. The query must join users and roles.
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
    pub id: Uuid,
    pub username: String,
    pub email: Option<String>,
    /// `active` or `disabled`.
    pub status: String,
    /// Increases when the role or the status changes.
    pub version: i64,
    pub role: String,
    /// The role's permissions.
    #[diesel(deserialize_as = Vec<String>)]
    pub permissions: Names,
}
