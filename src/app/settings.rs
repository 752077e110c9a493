//! Converts settings to the types of the parts that use them.

use std::thread::available_parallelism;

use crate::clock::Clock;
use crate::config::{self, Settings, SigningAlgorithm};
use crate::database::prune::Retention;
use crate::http::client_address::{ProxyHeader, TrustedProxies};
use crate::limits::attempts::{Attempts, NodeLimits};
use crate::limits::counters;
use crate::sessions::SessionLimits;
use crate::tokens::private_key::Algorithm;
use crate::users::password::PasswordPolicy;

/// Returns the lifetimes of sessions and tokens, and the maximum number of sessions of a user.
#[must_use]
pub fn limits(settings: &Settings) -> SessionLimits {
    SessionLimits {
        access_ttl: settings.access_token_ttl,
        refresh_ttl: settings.refresh_token_ttl,
        session_ttl: settings.session_ttl,
        refresh_grace: settings.refresh_grace,
        max_sessions: settings.max_sessions,
    }
}

/// Returns the rules for new passwords.
#[must_use]
pub fn password_policy(settings: &Settings) -> PasswordPolicy {
    PasswordPolicy { min_length: settings.password_min_length as usize }
}

/// Returns the retention of each kind of record.
#[must_use]
pub fn retention(settings: &Settings) -> Retention {
    Retention {
        audit_events: settings.audit_retention,
        refusals: settings.refusal_retention,
        known_addresses: settings.known_address_retention,
    }
}

/// Returns the limits on attempts and costly requests.
#[must_use]
pub fn attempts(settings: &Settings, clock: &Clock) -> Attempts {
    let limits = counters::AttemptLimits {
        failures: settings.login_failures,
        failures_per_address: settings.login_failures_per_address,
        failures_per_known_address: settings.login_failures_per_known_address,
        failures_in_all: settings.login_failures_in_all,
        registrations_per_address: settings.registrations_per_address,
        longest_wait: settings.login_wait_max,
    };
    let of_node = NodeLimits {
        unproven_per_address: settings.unproven_per_address,
        tokens_per_user: settings.tokens_per_user,
    };
    Attempts::new(limits, of_node, clock)
}

/// Returns the proxies whose headers are trusted.
#[must_use]
pub fn trusted_proxies(settings: &Settings) -> TrustedProxies {
    let header = match settings.proxy_header {
        config::ProxyHeaderSetting::Auto => ProxyHeader::Auto,
        config::ProxyHeaderSetting::XForwardedFor => ProxyHeader::XForwardedFor,
        config::ProxyHeaderSetting::Forwarded => ProxyHeader::Forwarded,
    };
    TrustedProxies::new(settings.trusted_proxies.clone(), header)
}

/// Returns the algorithm of new signing keys.
#[must_use]
pub fn algorithm(settings: &Settings) -> Algorithm {
    match settings.signing_algorithm {
        SigningAlgorithm::Es256 => Algorithm::Es256,
        SigningAlgorithm::EdDsa => Algorithm::EdDsa,
        SigningAlgorithm::Rs256 => Algorithm::Rs256,
    }
}

/// Returns the number of threads for work that keeps a core busy.
#[must_use]
pub fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}
