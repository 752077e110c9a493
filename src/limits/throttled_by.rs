//! Names the limits that can throttle a request, and rounds the wait.

use std::time::Duration;

use super::counters::CountedBy;

/// The limit that throttles a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ThrottledBy {
    /// A counter that all nodes share.
    Counted(CountedBy),
    /// Requests from an address whose credentials are not verified.
    Unverified,
    /// Personal tokens that a user created.
    Tokens,
}

impl ThrottledBy {
    /// Returns the name in metrics and the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counted(by) => by.as_str(),
            Self::Unverified => "unproven",
            Self::Tokens => "tokens",
        }
    }
}

/// Rounds a wait up to seconds, so that a client that waits this long is accepted.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_own_name() {
        let names = [ThrottledBy::Counted(CountedBy::Name), ThrottledBy::Unverified, ThrottledBy::Tokens]
            .map(ThrottledBy::as_str);
        assert_eq!(names, [CountedBy::Name.as_str(), "unproven", "tokens"]);
    }
}
