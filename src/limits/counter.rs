//! A row of `attempts`: what a try counts against, and how many are free.

use aws_lc_rs::digest::{SHA256, digest as sha256};

/// What a try counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountedBy {
    /// An account, with an address that it was signed in to from before: for all who share that address.
    KnownAddress,
    /// An account or a name that nobody has, from everywhere else.
    Name,
    /// An address, for all names.
    Address,
    /// An IPv6 network wider than an address's own, for all names.
    Network,
    /// Everything.
    All,
    /// An address, for all accounts that were signed in to from there before.
    Spray,
    /// An address from which accounts are made.
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

/// A row that a try counts against.
#[derive(Clone, Debug)]
pub struct Counter {
    /// What it counts.
    pub by: CountedBy,
    /// The SHA-256 of whose tries it counts.
    pub digest: [u8; 32],
    /// Tries an hour that cost no wait.
    pub free: u32,
}

impl Counter {
    /// Makes a counter of the tries against these names and networks, none of which has a NUL.
    #[must_use]
    pub fn new(by: CountedBy, against: &[&str], free: u32) -> Self {
        let mut digest = [0; 32];
        digest.copy_from_slice(sha256(&SHA256, against.join("\0").as_bytes()).as_ref());
        Self { by, digest, free }
    }
}
