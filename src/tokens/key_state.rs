//! What a signing key is there for at a moment, as it is listed.

use chrono::{DateTime, Utc};

use super::signing_key::{Row, find_signing};

/// What a key is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// New tokens are signed by it.
    Signs,
    /// It is in the key set, so that verifiers know it when it signs.
    Published,
    /// What it signed is still good.
    Verifies,
    /// Nothing that it signed is good any more.
    Retired,
    /// It leaked: whatever it signed is refused.
    Revoked,
}

impl KeyState {
    /// The state at `now` of a row among `all`.
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

    /// The name in listings for programs.
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
