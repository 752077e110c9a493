//! Identifies the rows of the table `attempts`. Each counts the attempts against one account, name or
//! network.

use crate::digest::Digest;

/// The kinds of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountedBy {
    /// An account, together with an address from which it was signed in to before. Everyone at that address
    /// shares it.
    KnownAddress,
    /// An account, or a name without an account, from everywhere else.
    Name,
    /// An address, for all names.
    Address,
    /// An IPv6 network wider than the address's /64, for all names.
    Network,
    /// All sign-ins.
    All,
    /// An address, for all accounts that were signed in to from there before.
    Spray,
    /// An address from which accounts are registered.
    Registration,
}

impl CountedBy {
    /// Returns the name in the database, metrics and the audit log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KnownAddress => "known_address",
            Self::Name => "name",
            Self::Address => "address",
            Self::Network => "network",
            Self::All => "all",
            Self::Spray => "spray",
            Self::Registration => "registration",
        }
    }
}

/// A row in which an attempt is counted.
#[derive(Clone, Debug)]
pub struct Counter {
    pub by: CountedBy,
    /// The SHA-256 of the names and networks that it counts.
    pub digest: Digest,
    /// The number of attempts per hour that cause no wait.
    pub free: u32,
}

impl Counter {
    /// Creates the counter for these names and networks, which must not contain NUL.
    #[must_use]
    pub fn new(by: CountedBy, against: &[&str], free: u32) -> Self {
        Self { by, digest: Digest::of(against.join("\0")), free }
    }
}
