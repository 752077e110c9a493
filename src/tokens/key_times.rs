//! The times when the state of a signing key changes, and which of several keys signs.

use chrono::{DateTime, TimeDelta, Utc};

/// The times when a key's state changes.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The key signs from this time until a later key does.
    pub signs_from: DateTime<Utc>,
    /// The time when the last token that the key signed has expired. `None` while the key has no successor.
    pub retires_at: Option<DateTime<Utc>>,
    /// Tokens that the key signed are refused from this time.
    pub revoked_at: Option<DateTime<Utc>>,
    /// The longest lifetime of a token that any node may issue with the key.
    pub longest_ttl: TimeDelta,
}

impl Times {
    /// Returns whether tokens that the key signed may be valid, or may be signed later. Only such keys are in
    /// the published set.
    #[must_use]
    pub fn is_live_at(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.retires_at.is_none_or(|retires_at| retires_at > now)
    }

    /// Returns the latest `exp` of a token that the key signs now. It is within the stored lifetime and
    /// before the key retires.
    #[must_use]
    pub fn latest_expiry(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let latest = now.checked_add_signed(self.longest_ttl).unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.retires_at.map_or(latest, |retires_at| latest.min(retires_at))
    }
}

/// Returns the live key that signs, which is the latest whose time has come. If no key's time has come, the
/// clock was set back, and the first key signs.
pub(super) fn find_signing<'a, T>(
    live: impl Iterator<Item = &'a T> + Clone,
    signs_from: impl Fn(&T) -> DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<&'a T> {
    let has_come = live.clone().filter(|key| signs_from(key) <= now).max_by_key(|key| signs_from(key));
    has_come.or_else(|| live.min_by_key(|key| signs_from(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_key_is_found_at_any_clock_time() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        let keys = [at(100), at(200)];
        let signing = |now| find_signing(keys.iter(), |key| *key, at(now)).copied();
        assert_eq!(signing(150), Some(at(100)));
        assert_eq!(signing(200), Some(at(200)));
        assert_eq!(signing(50), Some(at(100)), "the clock was set back to before the first");
    }
}
