//! The caller: who sent this request, after the guard.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::trace::CredentialKind;
use crate::tokens::names::Names;

/// The permission to change one's own account. No personal token can carry it, since one that did could make others.
pub const ACCOUNT_WRITE: &str = "account:write";

/// Who sent this request, and by which credential.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user's id.
    pub user_id: Uuid,
    /// The user's name.
    pub username: String,
    /// The user's address.
    pub email: Option<String>,
    /// The user's role.
    pub role: String,
    /// What the role may, sorted.
    pub permissions: Names,
    /// What the credential carries, sorted.
    pub scope: Names,
    /// Which credential it was.
    pub credential: Credential,
    /// The user's version.
    pub version: i64,
    /// The permission that the endpoint requires.
    pub required: Option<&'static str>,
}

/// A credential that was found good.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An access token of an API client's session.
    AccessToken {
        /// The session.
        session_id: Uuid,
        /// What the sign-in asked for; `None`: whatever the user may.
        session_scope: Option<Names>,
        /// The generation of the refresh token that it was issued with.
        generation: i32,
        /// The last sign-in or step-up.
        auth_time: DateTime<Utc>,
        /// When the token expires.
        expires_at: DateTime<Utc>,
        /// The key that signed it.
        kid: String,
        /// The user's version that it was issued with.
        version: i64,
    },
    /// The cookie of a browser's session.
    SessionCookie {
        /// The session.
        session_id: Uuid,
        /// The last sign-in or step-up.
        auth_time: DateTime<Utc>,
        /// When the session ends if it is not used again.
        expires_at: DateTime<Utc>,
        /// What unsafe requests prove themselves with.
        csrf_token: String,
        /// The digest of its key.
        digest: [u8; 32],
    },
    /// A personal access token.
    PersonalToken {
        /// Its row.
        id: Uuid,
        /// When it expires.
        expires_at: DateTime<Utc>,
        /// The digest of its text.
        digest: [u8; 32],
    },
}

impl Credential {
    /// The name in `GET /api/v1/me`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AccessToken { .. } => CredentialKind::AccessToken,
            Self::SessionCookie { .. } => CredentialKind::SessionCookie,
            Self::PersonalToken { .. } => CredentialKind::PersonalToken,
        }
        .as_str()
    }

    /// The session that it belongs to.
    #[must_use]
    pub fn session_id(&self) -> Option<Uuid> {
        match self {
            Self::AccessToken { session_id, .. } | Self::SessionCookie { session_id, .. } => {
                Some(*session_id)
            }
            Self::PersonalToken { .. } => None,
        }
    }

    /// When its user last proved to be present.
    #[must_use]
    pub fn auth_time(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::AccessToken { auth_time, .. } | Self::SessionCookie { auth_time, .. } => Some(*auth_time),
            Self::PersonalToken { .. } => None,
        }
    }

    /// When it expires.
    #[must_use]
    pub fn expires_at(&self) -> DateTime<Utc> {
        match self {
            Self::AccessToken { expires_at, .. }
            | Self::SessionCookie { expires_at, .. }
            | Self::PersonalToken { expires_at, .. } => *expires_at,
        }
    }

    /// The token that a browser's unsafe requests carry.
    #[must_use]
    pub fn csrf_token(&self) -> Option<&str> {
        match self {
            Self::SessionCookie { csrf_token, .. } => Some(csrf_token),
            Self::AccessToken { .. } | Self::PersonalToken { .. } => None,
        }
    }
}

impl Caller {
    /// Whether both the user and the credential may do this.
    #[must_use]
    pub fn may(&self, permission: &str) -> bool {
        let holds = |names: &[String]| names.iter().any(|name| name == permission);
        holds(&self.permissions) && holds(&self.scope)
    }
}
