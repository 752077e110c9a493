//! Builds the state for handlers from the settings.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web;

use super::AppParts;
use super::settings::{algorithm, attempts, cores, limits, password_policy, trusted_proxies};
use super::start::Prepared;
use crate::api::health::Draining;
use crate::audit::refusal_counts::RefusalCounts;
use crate::audit::refusals::RefusalWriter;
use crate::cache::node_cache::NodeCache;
use crate::clock::Clock;
use crate::config::{PublicUrl, Registration, Settings, SimplejwtRoutes};
use crate::database::Database;
use crate::database::database_clock::DatabaseClock;
use crate::http::cookies::BrowserSettings;
use crate::refusal::RenderContext;
use crate::sessions::{LastUse, rotate_all};
use crate::state::{Core, Recorder, ShownSetting, State, TokenIssuer, WebSettings};
use crate::tokens::access_token::Issuer;
use crate::tokens::key_ring::SharedKeyRing;
use crate::tokens::signing_key::KeyRing;
use crate::users::passwords::Passwords;

fn shown(settings: &Settings) -> Vec<ShownSetting> {
    let shown = settings.entries().iter().map(|entry| ShownSetting {
        name: entry.setting.environment,
        help: entry.setting.help.clone(),
        value: entry.value.clone().unwrap_or_else(|| "none".to_owned()),
        source: entry.source.to_string(),
    });
    shown.collect()
}

/// Builds the parts of a server that listens at `address` and uses this database.
#[must_use]
pub fn parts(
    settings: &Settings,
    address: SocketAddr,
    database_url: &str,
    prepared: Prepared,
    clock: Clock,
) -> AppParts {
    let public_url = settings.public_url_for(address);
    let url = public_url.as_str().to_owned();
    let Prepared { secret_keys, ring, cookie_key, highest_cost, site, .. } = prepared;
    let database = Database::new(database_url, settings.database_connections);
    let passwords = Passwords::new(password_policy(settings), settings.bcrypt_cost, cores());
    if let Some(cost) = highest_cost {
        passwords.record_cost(cost);
    }
    let state = State {
        tokens: token_issuer(settings, &database, ring, url.clone()),
        cache: Arc::new(NodeCache::new(database.feed().clone(), settings.remembered as usize)),
        limits: attempts(settings, &clock),
        recorder: Recorder {
            last_use: LastUse::default(),
            refusal_counts: RefusalCounts::default(),
            kept_refusals: RefusalWriter::new(settings.refusal_retention, settings.refusal_rows),
        },
        web: web_settings(settings, &public_url),
        core: Core {
            database,
            clock: clock.clone(),
            database_clock: DatabaseClock::new(&clock),
            secret_keys,
            passwords,
        },
    };
    AppParts {
        state: web::Data::new(state),
        rendering: web::Data::new(RenderContext { base: url, clock }),
        cookie_key,
        draining: Draining::default(),
        simplejwt: settings.simplejwt_routes,
        cors_origins: settings.cors_origins.clone(),
        site,
    }
}

fn token_issuer(settings: &Settings, database: &Database, ring: KeyRing, url: String) -> TokenIssuer {
    let lifetimes = limits(settings);
    let for_rotations = lifetimes.clone();
    TokenIssuer {
        keys: SharedKeyRing::new(ring),
        issuer: Issuer { url, audiences: settings.audiences.clone() },
        signing_algorithm: algorithm(settings),
        lifetimes,
        rotations: database.batched(move |connection, queue| rotate_all(connection, queue, &for_rotations)),
    }
}

fn web_settings(settings: &Settings, public_url: &PublicUrl) -> WebSettings {
    let browser = BrowserSettings {
        origin: public_url.origin().as_str().to_owned(),
        script_origins: settings.cors_origins.iter().map(|origin| origin.as_str().to_owned()).collect(),
        secure: public_url.is_https(),
        idle_ttl: settings.browser_session_idle_ttl,
        kept_ttl: settings.browser_session_kept_ttl,
    };
    WebSettings {
        browser,
        trusted_proxies: trusted_proxies(settings),
        registration_open: settings.registration == Registration::Open,
        simplejwt_rotates: settings.simplejwt_routes == SimplejwtRoutes::Rotate,
        settings: shown(settings),
        step_up_max_age: settings.step_up_max_age,
        token_ttl_max: settings.token_ttl_max,
    }
}
