//! The state of the handlers, made of the settings.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::available_parallelism;

use actix_web::web;

use super::Parts;
use super::start::Prepared;
use crate::api::health::Draining;
use crate::api::simplejwt;
use crate::audit::refusal_counts::RefusalCounts;
use crate::audit::refusals::KeptRefusals;
use crate::clock::Clock;
use crate::config::{self, Registration, Settings, SigningAlgorithm, SimplejwtRoutes};
use crate::database::Database;
use crate::database::database_clock::DatabaseClock;
use crate::database::prune::Retention;
use crate::guard::Services;
use crate::guard::address::{ProxyHeader, TrustedProxies};
use crate::guard::attempts::{Attempts, NodeLimits};
use crate::guard::cookie_store::BrowserSettings;
use crate::guard::memory::Memory;
use crate::guard::server::ShownSetting;
use crate::pages;
use crate::problem::Rendering;
use crate::sessions::{LastUse, Limits, rotate_all};
use crate::tokens::access_token::Issuer;
use crate::tokens::key_ring::Keys;
use crate::tokens::private_key::Algorithm;
use crate::users::attempts;
use crate::users::password::PasswordPolicy;
use crate::users::passwords::Passwords;

/// What the settings say of sessions.
#[must_use]
pub fn limits(settings: &Settings) -> Limits {
    Limits {
        access_ttl: settings.access_token_ttl,
        refresh_ttl: settings.refresh_token_ttl,
        session_ttl: settings.session_ttl,
        refresh_grace: settings.refresh_grace,
        max_sessions: settings.max_sessions,
    }
}

/// What the settings say of passwords.
#[must_use]
pub fn password_policy(settings: &Settings) -> PasswordPolicy {
    PasswordPolicy { min_length: settings.password_min_length as usize }
}

/// How long what happened is kept.
#[must_use]
pub fn retention(settings: &Settings) -> Retention {
    Retention {
        audit_events: settings.audit_retention,
        refusals: settings.refusal_retention,
        known_addresses: settings.known_address_retention,
    }
}

/// What the settings say of tries that guess or cost.
#[must_use]
pub fn attempts(settings: &Settings, clock: &Clock) -> Attempts {
    let limits = attempts::Limits {
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

/// Returns the proxies whose headers are believed.
#[must_use]
pub fn trusted_proxies(settings: &Settings) -> TrustedProxies {
    let header = match settings.proxy_header {
        config::ProxyHeader::Auto => ProxyHeader::Auto,
        config::ProxyHeader::XForwardedFor => ProxyHeader::XForwardedFor,
        config::ProxyHeader::Forwarded => ProxyHeader::Forwarded,
    };
    TrustedProxies::new(settings.trusted_proxies.clone(), header)
}

/// By what new signing keys sign.
#[must_use]
pub fn algorithm(settings: &Settings) -> Algorithm {
    match settings.signing_algorithm {
        SigningAlgorithm::Es256 => Algorithm::Es256,
        SigningAlgorithm::EdDsa => Algorithm::EdDsa,
        SigningAlgorithm::Rs256 => Algorithm::Rs256,
    }
}

/// What answers are written with, at this public URL.
#[must_use]
pub fn rendering(settings: &Settings, base: String, clock: Clock) -> Rendering {
    let translate = match settings.simplejwt_routes {
        SimplejwtRoutes::Off => |_: &_, _: &_| None,
        SimplejwtRoutes::On | SimplejwtRoutes::Rotate => simplejwt::translate,
    };
    Rendering { base, clock, translate, page: pages::refused }
}

fn shown(settings: &Settings) -> Vec<ShownSetting> {
    let shown = settings.entries().iter().map(|entry| ShownSetting {
        name: entry.setting.environment,
        help: entry.setting.help.clone(),
        value: entry.value.clone().unwrap_or_else(|| "none".to_owned()),
        source: entry.source.to_string(),
    });
    shown.collect()
}

/// How many threads to use for what keeps a core busy.
#[must_use]
pub fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// The parts of a server that listens at `address`, on this database.
#[must_use]
pub fn parts(
    settings: &Settings,
    address: SocketAddr,
    database_url: &str,
    prepared: Prepared,
    clock: Clock,
) -> Parts {
    let public_url = settings.public_url_for(address);
    let url = public_url.as_str().to_owned();
    let Prepared { secret_keys, ring, cookie_key, highest_cost, .. } = prepared;
    let passwords = Passwords::new(password_policy(settings), settings.bcrypt_cost, cores());
    if let Some(cost) = highest_cost {
        passwords.note_cost(cost);
    }
    let browser = BrowserSettings {
        origin: public_url.origin().as_str().to_owned(),
        script_origins: settings.cors_origins.iter().map(|origin| origin.as_str().to_owned()).collect(),
        secure: public_url.is_https(),
        idle_ttl: settings.browser_session_idle_ttl,
        kept_ttl: settings.browser_session_kept_ttl,
    };
    let database = Database::new(database_url, settings.database_connections);
    let memory = Memory::new(database.feed().clone(), settings.remembered as usize);
    let limits = limits(settings);
    let for_rotations = limits.clone();
    let rotations = database.together(move |connection, turns| rotate_all(connection, turns, &for_rotations));
    let services = Services {
        database,
        rotations,
        limits,
        memory: Arc::new(memory),
        clock: clock.clone(),
        database_clock: DatabaseClock::new(&clock),
        secret_keys,
        keys: Keys::new(ring),
        issuer: Issuer { url: url.clone(), audiences: settings.audiences.clone() },
        passwords,
        attempts: attempts(settings, &clock),
        last_use: LastUse::default(),
        refusal_counts: RefusalCounts::default(),
        kept_refusals: KeptRefusals::new(settings.refusal_retention, settings.refusal_rows),
        step_up_max_age: settings.step_up_max_age,
        token_ttl_max: settings.token_ttl_max,
        signing_algorithm: algorithm(settings),
        settings: shown(settings),
        registration_open: settings.registration == Registration::Open,
        simplejwt_rotates: settings.simplejwt_routes == SimplejwtRoutes::Rotate,
        browser,
        trusted_proxies: trusted_proxies(settings),
    };
    Parts {
        services: web::Data::new(services),
        rendering: web::Data::new(rendering(settings, url, clock)),
        cookie_key,
        draining: Draining::default(),
        simplejwt: settings.simplejwt_routes,
        cors_origins: settings.cors_origins.clone(),
    }
}
