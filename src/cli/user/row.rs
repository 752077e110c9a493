//! Describes a user in the output of commands.

use serde::Serialize;
use uuid::Uuid;

use crate::clock::rfc3339 as time;
use crate::users::user::User;

/// A user in the list.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) username: String,
    pub(super) email: Option<String>,
    pub(super) role: String,
    pub(super) status: String,
    pub(super) created_at: String,
    pub(super) last_login_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sessions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sign_in_waits_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sessions_ended: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tokens_revoked: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) password: Option<String>,
}

impl From<User> for Row {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            username: user.username,
            email: user.email,
            role: user.role,
            status: user.status.to_string(),
            created_at: time(user.created_at),
            last_login_at: user.last_login_at.map(time),
            sessions: None,
            sign_in_waits_until: None,
            sessions_ended: None,
            tokens_revoked: None,
            password: None,
        }
    }
}
