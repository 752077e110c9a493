//! The limit that holds a request up, and how long to wait for it.

use std::time::Duration;

use super::counters::CountedBy;

/// What holds a request up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeldBy {
    /// What all nodes count.
    Counted(CountedBy),
    /// Requests from an address that prove nothing.
    Unproven,
    /// Tokens that a user made.
    Tokens,
}

impl HeldBy {
    /// The name in metrics and the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counted(by) => by.as_str(),
            Self::Unproven => "unproven",
            Self::Tokens => "tokens",
        }
    }
}

/// Rounded up: whoever waits as long as he is told is let in.
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_request_up_has_a_name_of_its_own() {
        let names = [HeldBy::Counted(CountedBy::Name), HeldBy::Unproven, HeldBy::Tokens].map(HeldBy::as_str);
        assert_eq!(names, [CountedBy::Name.as_str(), "unproven", "tokens"]);
    }
}
