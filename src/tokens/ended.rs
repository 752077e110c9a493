//! The end of a session or a personal token.

use chrono::{DateTime, Utc};

/// The time when a session ended or a personal token was revoked, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended<R> {
    pub at: DateTime<Utc>,
    pub reason: R,
}

impl<R> Ended<R> {
    /// Returns the end that the columns of a row record. The table has both or none.
    #[must_use]
    pub fn of_columns(at: Option<DateTime<Utc>>, reason: Option<R>) -> Option<Self> {
        let (at, reason) = at.zip(reason)?;
        Some(Self { at, reason })
    }

    /// Converts the reason.
    #[must_use]
    pub fn map<S>(self, convert: impl FnOnce(R) -> S) -> Ended<S> {
        Ended { at: self.at, reason: convert(self.reason) }
    }
}
