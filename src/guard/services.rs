//! What every door shares: the nouns' long-lived parts, made once by app.rs.

use std::time::Duration;

use crate::clock::Clock;
use crate::database::Database;
use super::address::TrustedProxies;
use crate::secret_key::SecretKeys;
use crate::sessions::{LastUse, Limits};
use crate::tokens::access_token::Issuer;
use crate::tokens::key_ring::Keys;
use crate::users::passwords::Passwords;

/// The state that handlers work with.
pub struct Services {
    /// PostgreSQL.
    pub database: Database,
    /// The wall clock.
    pub clock: Clock,
    /// What seals keys at rest, derives refresh tokens and signs cursors.
    pub secret_keys: SecretKeys,
    /// The keys that sign and verify access tokens.
    pub keys: Keys,
    /// Whom access tokens are from and for.
    pub issuer: Issuer,
    /// How long sessions and tokens last.
    pub limits: Limits,
    /// Verifies and makes password hashes, off the async threads.
    pub passwords: Passwords,
    /// Notes what was used.
    pub last_use: LastUse,
    /// How old a sign-in may be for what grants power.
    pub step_up_max_age: Duration,
    /// Whom `X-Forwarded-For` is believed from.
    pub trusted_proxies: TrustedProxies,
}
