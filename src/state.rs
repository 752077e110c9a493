//! The state that all request handlers share. `app/state.rs` creates it once.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, web};

use crate::audit::refusal_counts::RefusalCounts;
use crate::audit::refusals::RefusalWriter;
use crate::cache::node_cache::{CacheFollower, NodeCache};
use crate::clock::Clock;
use crate::database::database_clock::DatabaseClock;
use crate::database::feed::FollowerThread;
use crate::database::{Batched, Database};
use crate::http::client_address::TrustedProxies;
use crate::http::cookies::BrowserSettings;
use crate::limits::attempts::Attempts;
use crate::refusal::{self, Refusal};
use crate::secret_key::SecretKeys;
use crate::sessions::{LastUse, QueuedRefresh, Rotation, SessionLimits};
use crate::tokens::access_token::Issuer;
use crate::tokens::key_ring::SharedKeyRing;
use crate::tokens::private_key::Algorithm;
use crate::users::passwords::Passwords;

/// The state that all request handlers share, in parts that can be passed separately.
pub struct State {
    /// The database, the clocks, the secret keys and the hashing threads.
    pub core: Core,
    /// The keys and settings for issuing tokens.
    pub tokens: TokenIssuer,
    /// Verified tokens, and the state of sessions and personal tokens.
    pub cache: Arc<NodeCache>,
    /// The rate limits.
    pub limits: Attempts,
    /// Records of uses and refusals, which are written outside the requests.
    pub recorder: Recorder,
    pub web: WebSettings,
}

/// The parts that everything else needs.
pub struct Core {
    pub database: Database,
    pub clock: Clock,
    /// The database's clock, which dates sign-ins.
    pub database_clock: DatabaseClock,
    /// The keys that encrypt stored keys, derive refresh tokens and sign cursors.
    pub secret_keys: SecretKeys,
    /// Verifies and creates password hashes, outside the async threads.
    pub passwords: Passwords,
}

/// The keys and settings for issuing tokens.
pub struct TokenIssuer {
    /// The keys that sign and verify access tokens.
    pub keys: SharedKeyRing,
    /// The issuer and the audiences of access tokens.
    pub issuer: Issuer,
    /// The algorithm of new signing keys.
    pub signing_algorithm: Algorithm,
    /// The lifetimes of sessions and tokens.
    pub lifetimes: SessionLimits,
    /// Rotates refresh tokens, and batches those that are presented at the same time.
    pub rotations: Batched<QueuedRefresh, Rotation>,
}

/// Records that are written outside the requests.
pub struct Recorder {
    /// Records the last use of sessions and personal tokens.
    pub last_use: LastUse,
    /// Counts the refusals by code.
    pub refusal_counts: RefusalCounts,
    /// Keeps refused requests for explanations.
    pub kept_refusals: RefusalWriter,
}

/// Settings of the API and the pages.
pub struct WebSettings {
    /// The settings of session cookies.
    pub browser: BrowserSettings,
    /// The proxies whose `Forwarded` and `X-Forwarded-For` headers are trusted.
    pub trusted_proxies: TrustedProxies,
    /// True if anyone may register an account.
    pub registration_open: bool,
    /// True if a refresh with simplejwt's endpoint rotates the refresh token.
    pub simplejwt_rotates: bool,
    /// The current settings, with secrets masked.
    pub settings: Vec<ShownSetting>,
    /// The maximum age of a sign-in for sensitive requests.
    pub step_up_max_age: Duration,
    /// The maximum lifetime of a new personal token.
    pub token_ttl_max: Duration,
}

/// A setting as it is shown, with secrets masked.
#[derive(Clone, Debug)]
pub struct ShownSetting {
    /// The environment variable.
    pub name: &'static str,
    /// The description.
    pub help: String,
    pub value: String,
    pub source: String,
}

/// Returns the state of the server that handles this request.
///
/// # Errors
/// `internal_error` if the app was built without the state.
pub fn of(request: &HttpRequest) -> Result<&State, Refusal> {
    request.app_data::<web::Data<State>>().map(|state| state.get_ref()).ok_or_else(refusal::internal)
}

/// Starts to follow the revocation feed of the database at `url`. It stops when the returned value is
/// dropped.
///
/// # Errors
/// If no thread can be started.
pub fn follow(state: &State, url: &str) -> std::io::Result<FollowerThread> {
    let reader = CacheFollower::new(
        Arc::clone(&state.cache),
        state.tokens.keys.clone(),
        state.core.secret_keys.clone(),
        state.core.database_clock.clone(),
    );
    state.core.database.feed().follow(url, reader)
}
