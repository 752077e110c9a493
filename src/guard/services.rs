//! What every door shares: the nouns' long-lived parts, made once by app.rs.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::address::TrustedProxies;
use super::attempts::Attempts;
use super::cookie_store::BrowserSettings;
use super::memory::{Memory, Reader};
use super::refusal;
use super::server::ShownSetting;
use crate::audit::refusal_counts::RefusalCounts;
use crate::audit::refusals::KeptRefusals;
use crate::clock::Clock;
use crate::database::database_clock::DatabaseClock;
use crate::database::feed::Following;
use crate::database::{Database, Together, find_time};
use crate::problem::{FieldError, Problem};
use crate::secret_key::SecretKeys;
use crate::sessions::{LastUse, Limits, Rotation, Turn};
use crate::tokens::access_token::Issuer;
use crate::tokens::key_ring::Keys;
use crate::tokens::private_key::Algorithm;
use crate::users::passwords::Passwords;
use crate::users::user;

/// The state that handlers work with.
pub struct Services {
    /// PostgreSQL.
    pub database: Database,
    /// The wall clock.
    pub clock: Clock,
    /// The database's clock, by which sign-ins are dated.
    pub database_clock: DatabaseClock,
    /// What seals keys at rest, derives refresh tokens and signs cursors.
    pub secret_keys: SecretKeys,
    /// The keys that sign and verify access tokens.
    pub keys: Keys,
    /// What was verified and looked up already.
    pub memory: Arc<Memory>,
    /// Whom access tokens are from and for.
    pub issuer: Issuer,
    /// Trades refresh tokens that are presented at the same time.
    pub rotations: Together<Turn, Rotation>,
    /// How long sessions and tokens last.
    pub limits: Limits,
    /// Verifies and makes password hashes, off the async threads.
    pub passwords: Passwords,
    /// Counts what guesses or costs.
    pub attempts: Attempts,
    /// Notes what was used.
    pub last_use: LastUse,
    /// Counts what was refused.
    pub refusal_counts: RefusalCounts,
    /// Keeps what was refused.
    pub kept_refusals: KeptRefusals,
    /// How old a sign-in may be for what grants power.
    pub step_up_max_age: Duration,
    /// How long a new personal token may be good.
    pub token_ttl_max: Duration,
    /// What new signing keys are made for.
    pub signing_algorithm: Algorithm,
    /// The settings in force, secrets masked.
    pub settings: Vec<ShownSetting>,
    /// Whether anybody may make an account for himself.
    pub registration_open: bool,
    /// Whether a refresh in simplejwt's words spends its refresh token.
    pub simplejwt_rotates: bool,
    /// How browsers' sessions are kept.
    pub browser: BrowserSettings,
    /// Whom `Forwarded` and `X-Forwarded-For` are believed from.
    pub trusted_proxies: TrustedProxies,
}

/// The services of the server that answers this request.
///
/// # Errors
/// `internal_error`: the App was built without them.
pub fn of(request: &HttpRequest) -> Result<&Services, Problem> {
    request.app_data::<web::Data<Services>>().map(|services| services.get_ref()).ok_or_else(refusal::internal)
}

impl Services {
    /// Begins to follow what is ended anywhere, on the database at `url`; ends with what is given back.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn follow(&self, url: &str) -> std::io::Result<Following> {
        let reader = Reader::new(
            Arc::clone(&self.memory),
            self.keys.clone(),
            self.secret_keys.clone(),
            self.database_clock.clone(),
        );
        self.database.feed().follow(url, reader)
    }

    /// Returns the database's time: as the feed last read it, or from the database where it has not read it yet.
    ///
    /// # Errors
    /// A fault of ours as a 5xx.
    pub async fn database_time(&self) -> Result<DateTime<Utc>, Problem> {
        match self.database_clock.now() {
            Some(time) => Ok(time),
            None => self.database.run(find_time).await.map_err(refusal::database),
        }
    }

    /// The stored hash of a user's password.
    ///
    /// # Errors
    /// A fault of ours as a 5xx.
    pub async fn password_hash_of(&self, user_id: Uuid) -> Result<Option<String>, Problem> {
        self.database
            .run(move |connection| user::find_password_hash(connection, user_id))
            .await
            .map_err(refusal::database)
    }

    /// Refuses the names that no role has: they are slips of the pen and not a lack of rights.
    ///
    /// # Errors
    /// `validation_failed` at `/scope`; a fault of ours as a 5xx.
    pub async fn refuse_unknown_scope(&self, names: &[String]) -> Result<(), Problem> {
        let roles = self.database.run(user::list_roles).await.map_err(refusal::database)?;
        let is_known = |name: &&String| roles.iter().any(|(_, permissions)| permissions.contains(name));
        let unknown = names.iter().filter(|name| !is_known(name)).map(|unknown| {
            let detail = format!("`{unknown}` is no permission known here");
            FieldError::new("/scope", "unknown_scope", detail)
        });
        let unknown: Vec<FieldError> = unknown.collect();
        if unknown.is_empty() { Ok(()) } else { Err(Problem::validation(unknown)) }
    }
}
