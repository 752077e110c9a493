//! What every door shares: the nouns' long-lived parts, made once by app.rs.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, web};

use crate::audit::refusal_counts::RefusalCounts;
use crate::audit::refusals::KeptRefusals;
use crate::cache::remembered::{Memory, Reader};
use crate::clock::Clock;
use crate::database::database_clock::DatabaseClock;
use crate::database::feed::Following;
use crate::database::{Database, Together};
use crate::http::client_address::TrustedProxies;
use crate::http::cookies::BrowserSettings;
use crate::limits::attempts::Attempts;
use crate::refusal::{self, Problem};
use crate::secret_key::SecretKeys;
use crate::sessions::{LastUse, Limits, Rotation, Turn};
use crate::tokens::access_token::Issuer;
use crate::tokens::key_ring::Keys;
use crate::tokens::private_key::Algorithm;
use crate::users::passwords::Passwords;

/// What handlers share, in parts that can be handed on alone.
pub struct State {
    /// The database, the clocks, the keys and the threads that hash.
    pub core: Core,
    /// What tokens are issued with.
    pub tokens: TokenIssuer,
    /// Verified tokens, and the state of sessions and personal tokens.
    pub cache: Arc<Memory>,
    /// Limits of what guesses or costs.
    pub limits: Attempts,
    /// Records of uses and refusals, written off the requests' path.
    pub recorder: Recorder,
    /// Settings of the interfaces.
    pub web: WebSettings,
}

/// The parts that everything else needs.
pub struct Core {
    /// PostgreSQL.
    pub database: Database,
    /// The wall clock.
    pub clock: Clock,
    /// The database's clock, by which sign-ins are dated.
    pub database_clock: DatabaseClock,
    /// What seals keys at rest, derives refresh tokens and signs cursors.
    pub secret_keys: SecretKeys,
    /// Verifies and makes password hashes, off the async threads.
    pub passwords: Passwords,
}

/// What tokens are issued with.
pub struct TokenIssuer {
    /// The keys that sign and verify access tokens.
    pub keys: Keys,
    /// Whom access tokens are from and for.
    pub issuer: Issuer,
    /// What new signing keys are made for.
    pub signing_algorithm: Algorithm,
    /// How long sessions and tokens last.
    pub lifetimes: Limits,
    /// Trades refresh tokens that are presented at the same time.
    pub rotations: Together<Turn, Rotation>,
}

/// Records that are written off the requests' path.
pub struct Recorder {
    /// Notes what was used.
    pub last_use: LastUse,
    /// Counts what was refused.
    pub refusal_counts: RefusalCounts,
    /// Keeps what was refused.
    pub kept_refusals: KeptRefusals,
}

/// Settings of the interfaces.
pub struct WebSettings {
    /// How browsers' sessions are kept.
    pub browser: BrowserSettings,
    /// Whom `Forwarded` and `X-Forwarded-For` are believed from.
    pub trusted_proxies: TrustedProxies,
    /// Whether anybody may make an account for himself.
    pub registration_open: bool,
    /// Whether a refresh in simplejwt's words spends its refresh token.
    pub simplejwt_rotates: bool,
    /// The settings in force, secrets masked.
    pub settings: Vec<ShownSetting>,
    /// How old a sign-in may be for what grants power.
    pub step_up_max_age: Duration,
    /// How long a new personal token may be good.
    pub token_ttl_max: Duration,
}

/// A setting as it is shown, secrets masked.
#[derive(Clone, Debug)]
pub struct ShownSetting {
    /// The environment variable.
    pub name: &'static str,
    /// What it does.
    pub help: String,
    /// Its value.
    pub value: String,
    /// Where the value came from.
    pub source: String,
}

/// Returns the state of the server that answers this request.
///
/// # Errors
/// `internal_error`: the App was built without them.
pub fn of(request: &HttpRequest) -> Result<&State, Problem> {
    request.app_data::<web::Data<State>>().map(|state| state.get_ref()).ok_or_else(refusal::internal)
}

/// Begins to follow what is ended anywhere, on the database at `url`; ends with what is given back.
///
/// # Errors
/// When no thread can be had.
pub fn follow(state: &State, url: &str) -> std::io::Result<Following> {
    let reader = Reader::new(
        Arc::clone(&state.cache),
        state.tokens.keys.clone(),
        state.core.secret_keys.clone(),
        state.core.database_clock.clone(),
    );
    state.core.database.feed().follow(url, reader)
}
