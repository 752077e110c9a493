//! The checks of the guard in their order, and the kinds of credentials.

use serde::{Deserialize, Serialize};

/// A check of the guard. The checks run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Exactly one credential was sent, and it can be parsed.
    Header,
    /// This server accepts credentials of this kind.
    Kind,
    /// The credential is well-formed.
    Form,
    /// The key that the credential names is one of this server's keys, and is not revoked.
    Key,
    /// This server made the credential. The signature, the digest or the password is correct.
    Signature,
    /// The credential is valid at this time.
    Times,
    /// The credential was issued by this server, for this server.
    Issuer,
    /// The credential has the type that the endpoint needs.
    Type,
    /// The credential was neither revoked nor already used.
    Revocation,
    /// The session of the credential is active.
    Session,
    /// The user of the credential is active.
    User,
    /// A browser's unsafe request comes from one of this server's pages.
    Csrf,
    /// The user has the permission.
    Permission,
    /// The credential has the permission.
    Scope,
    /// The sign-in is recent enough.
    Freshness,
    /// The object belongs to the caller.
    Ownership,
}

impl Check {
    pub const ALL: [Self; 16] = [
        Self::Header,
        Self::Kind,
        Self::Form,
        Self::Key,
        Self::Signature,
        Self::Times,
        Self::Issuer,
        Self::Type,
        Self::Revocation,
        Self::Session,
        Self::User,
        Self::Csrf,
        Self::Permission,
        Self::Scope,
        Self::Freshness,
        Self::Ownership,
    ];

    /// Returns the name in logs, records and responses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Kind => "kind",
            Self::Form => "form",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Times => "times",
            Self::Issuer => "issuer",
            Self::Type => "type",
            Self::Revocation => "revocation",
            Self::Session => "session",
            Self::User => "user",
            Self::Csrf => "csrf",
            Self::Permission => "permission",
            Self::Scope => "scope",
            Self::Freshness => "freshness",
            Self::Ownership => "ownership",
        }
    }

    pub(super) const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The kind of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CredentialKind {
    /// A JWT of an API client's session.
    AccessToken,
    /// A token that is exchanged for new access tokens.
    RefreshToken,
    /// A long-lived token for scripts.
    PersonalToken,
    /// The cookie of a browser's session.
    SessionCookie,
    /// A username with its password.
    Password,
}

impl CredentialKind {
    /// Returns the name in logs, records and responses.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::PersonalToken => "personal_token",
            Self::SessionCookie => "session_cookie",
            Self::Password => "password",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_checks_and_kinds_equal_their_json() {
        for check in Check::ALL {
            assert_eq!(serde_json::to_value(check).expect("JSON"), check.as_str());
        }
        for kind in [
            CredentialKind::AccessToken,
            CredentialKind::RefreshToken,
            CredentialKind::PersonalToken,
            CredentialKind::SessionCookie,
            CredentialKind::Password,
        ] {
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
        }
    }
}
