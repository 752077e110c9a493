//! The digest of a session cookie's key. It is a type of its own, so that no other digest is looked up among
//! the cookies.

use crate::digest::Digest;

/// The SHA-256 of a session cookie's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CookieDigest(Digest);

impl CookieDigest {
    /// Computes the digest of a cookie's key.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(Digest::of(key))
    }

    /// Returns the bytes for a query.
    #[must_use]
    pub const fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }
}
