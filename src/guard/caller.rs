//! Describes the caller, who is the authorized sender of a request.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::check::CredentialKind;
use crate::digest::Digest;
use crate::sessions::CookieDigest;
use crate::tokens::names::Names;

/// The sender of a request and their credential.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user_id: Uuid,
    pub username: String,
    pub email: Option<String>,
    pub role: String,
    /// The role's permissions, sorted.
    pub permissions: Names,
    /// The credential's scope, sorted.
    pub scope: Names,
    pub credential: Credential,
    pub version: i64,
    /// The permission that the endpoint requires.
    pub required: Option<&'static str>,
}

/// A credential that was accepted.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An access token of an API client's session.
    AccessToken {
        session_id: Uuid,
        /// The scope that the sign-in requested. `None` means all of the user's permissions.
        session_scope: Option<Names>,
        /// The generation of the refresh token that the access token was issued with.
        generation: i32,
        /// The time of the last sign-in or step-up.
        auth_time: DateTime<Utc>,
        expires_at: DateTime<Utc>,
        /// The ID of the key that signed the access token.
        kid: String,
        /// The user's version at the time of issue.
        version: i64,
    },
    /// The cookie of a browser's session.
    SessionCookie {
        session_id: Uuid,
        /// The time of the last sign-in or step-up.
        auth_time: DateTime<Utc>,
        /// The time when the session expires if it is not used again.
        expires_at: DateTime<Utc>,
        /// The token that unsafe requests must carry.
        csrf_token: String,
        /// The digest of the cookie's key.
        digest: CookieDigest,
    },
    /// A personal access token.
    PersonalToken {
        id: Uuid,
        expires_at: DateTime<Utc>,
        /// The digest of the token's text.
        digest: Digest,
    },
}

impl Credential {
    /// Returns the name in `GET /api/v1/me`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AccessToken { .. } => CredentialKind::AccessToken,
            Self::SessionCookie { .. } => CredentialKind::SessionCookie,
            Self::PersonalToken { .. } => CredentialKind::PersonalToken,
        }
        .as_str()
    }

    /// Returns the ID of the session that the credential belongs to. Personal tokens have none.
    #[must_use]
    pub fn session_id(&self) -> Option<Uuid> {
        match self {
            Self::AccessToken { session_id, .. } | Self::SessionCookie { session_id, .. } => {
                Some(*session_id)
            }
            Self::PersonalToken { .. } => None,
        }
    }

    /// Returns the time when the user last entered the password. Personal tokens have none.
    #[must_use]
    pub fn auth_time(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::AccessToken { auth_time, .. } | Self::SessionCookie { auth_time, .. } => Some(*auth_time),
            Self::PersonalToken { .. } => None,
        }
    }

    #[must_use]
    pub fn expires_at(&self) -> DateTime<Utc> {
        match self {
            Self::AccessToken { expires_at, .. }
            | Self::SessionCookie { expires_at, .. }
            | Self::PersonalToken { expires_at, .. } => *expires_at,
        }
    }

    /// Returns the token that a browser's unsafe requests must carry.
    #[must_use]
    pub fn csrf_token(&self) -> Option<&str> {
        match self {
            Self::SessionCookie { csrf_token, .. } => Some(csrf_token),
            Self::AccessToken { .. } | Self::PersonalToken { .. } => None,
        }
    }
}

impl Caller {
    /// Returns whether both the user and the credential have this permission.
    #[must_use]
    pub fn may(&self, permission: &str) -> bool {
        let holds = |names: &[String]| names.iter().any(|name| name == permission);
        holds(&self.permissions) && holds(&self.scope)
    }
}
