//! Determines the state of a signing key at a given time, for listings.

use chrono::{DateTime, Utc};

use super::key_times::find_signing;
use super::signing_key::Row;

/// The state of a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// The key signs new tokens.
    Signs,
    /// The key is in the key set already, so that verifiers know it before it signs.
    Published,
    /// The key no longer signs, but tokens that it signed are still valid.
    Verifies,
    /// All tokens that the key signed have expired.
    Retired,
    /// The key was revoked, and every token that it signed is refused.
    Revoked,
}

impl KeyState {
    /// Returns the state at `now` of one row of `all`.
    #[must_use]
    pub fn of(row: &Row, all: &[Row], now: DateTime<Utc>) -> Self {
        let live = all.iter().filter(|row| row.times().is_live_at(now));
        let signing = find_signing(live, |row| row.signs_from, now);
        match row {
            row if row.revoked_at.is_some() => Self::Revoked,
            row if signing.is_some_and(|signing| signing.kid == row.kid) => Self::Signs,
            row if row.signs_from > now => Self::Published,
            row if row.retires_at.is_some_and(|retires_at| retires_at <= now) => Self::Retired,
            _ => Self::Verifies,
        }
    }

    /// Returns the name for machine-readable listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signs => "signs",
            Self::Published => "published",
            Self::Verifies => "verifies",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }
}
