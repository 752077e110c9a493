//! Prepares a database before a server runs on it: migrates it, checks the secret keys, and creates the first
//! signing key and the first administrator.

use std::sync::Arc;

use super::background;
use super::node;
use super::secrets::{self, SecretsError};
use super::site::{self, LogoError};
use crate::audit::Origin;
use crate::clock::Clock;
use crate::config::{Secret, Settings};
use crate::database::migrate::{self, MigrateError};
use crate::database::nodes::{self, Node};
use crate::database::{Connection, QueryError, describe, instance, transaction};
use crate::pages::site::Site;
use crate::secret_key::{SealError, SecretKeys};
use crate::sessions::CookieKey;
use crate::sessions::cookie_key::{self, SealedCookieKey};
use crate::tokens::lifetime;
use crate::tokens::private_key::{KeyError, PrivateKey};
use crate::tokens::revocation::{self, Revocation};
use crate::tokens::signing_key::{self, KeyRing};
use crate::users::canonical_names;
use crate::users::name::Username;
use crate::users::password::{PasswordHash, PlainPassword};
use crate::users::role;
use crate::users::user::{self, Authority, InsertOutcome, NewUser};

/// The reason why the server does not start on this database.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// PostgreSQL failed.
    #[error("{}", describe(.0))]
    Query(#[from] QueryError),
    /// The schema cannot be migrated.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// There are no secret keys.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// None of the secret keys belongs to this database.
    #[error(
        "none of the secret keys matches this database, because it was created with another. Set \
         DOORWARD_SECRET_KEY to the key that all its nodes use"
    )]
    WrongSecretKey,
    /// The check value cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A command needs values that only a server creates.
    #[error(
        "this database has never been served: start `doorward serve` on it once, or set DATABASE_URL to the \
         right one"
    )]
    NeverServed,
    /// A signing key cannot be opened or used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key of session cookies cannot be opened.
    #[error(transparent)]
    CookieKey(#[from] SealedCookieKey),
    /// The logo of the pages cannot be used.
    #[error(transparent)]
    Logo(#[from] LogoError),
    /// The first administrator cannot be created as the settings require.
    #[error("DOORWARD_ADMIN_{0}")]
    Admin(String),
}

/// The values that a server needs from its database.
pub struct Prepared {
    pub secret_keys: SecretKeys,
    pub ring: KeyRing,
    /// The key that signs session cookies.
    pub cookie_key: CookieKey,
    /// This server as reported to the other nodes; `None` for a command, which does not serve.
    pub node: Option<Node>,
    /// The highest cost among the stored password hashes.
    pub highest_cost: Option<u32>,
    /// The first administrator, if this start created the account. A generated password is shown only once.
    pub first_admin: Option<FirstAdmin>,
    /// The looks of the pages.
    pub(crate) site: Arc<Site>,
}

pub struct FirstAdmin {
    pub username: String,
    /// The generated password. `None` if the operator chose the password.
    pub password: Option<Secret>,
}

/// Brings a database to the state that a server needs.
///
/// # Errors
/// See [`StartError`].
pub fn prepare(connection: &mut Connection, settings: &Settings) -> Result<Prepared, StartError> {
    // A wrong logo stops the start before anything changes.
    let site = site::load(settings)?;
    let ran = migrate::run(connection)?;
    if !ran.is_empty() {
        tracing::info!(migrations = ran.len(), "migrated the database");
        if !user::is_empty(connection)? {
            // Nodes that are running still cache the former permissions of roles.
            revocation::insert_change(connection, &Revocation::Everything, "migrated")?;
            background::log_names(&canonical_names::run(connection)?);
        }
    }
    if user::is_empty(connection)? {
        // An empty database gets all indexes at once. Other databases get them while the server runs.
        migrate::make_indexes(connection)?;
    }
    revocation::adopt(connection)?;
    let secret_keys = find_or_make_secret_keys(connection, settings)?;
    let node = report_node(connection, settings)?;
    let ring = load_keys(connection, settings, &secret_keys)?;
    let cookie_key = cookie_key::find_or_make(connection, &secret_keys)??;
    let first_admin = make_first_admin(connection, settings)?;
    let highest_cost = user::find_highest_cost(connection)?.and_then(|cost| u32::try_from(cost).ok());
    Ok(Prepared { secret_keys, ring, cookie_key, node: Some(node), highest_cost, first_admin, site })
}

/// Reads the values from a prepared database, for a command that runs beside the server. Creates nothing.
///
/// # Errors
/// See [`StartError`].
pub fn open(connection: &mut Connection, settings: &Settings) -> Result<Prepared, StartError> {
    let secret_keys = check_secret_keys(connection, settings)?;
    let ring = signing_key::open(&signing_key::list(connection)?, &secret_keys)?;
    if instance::find_cookie_key(connection)?.is_none() {
        return Err(StartError::NeverServed);
    }
    let cookie_key = cookie_key::find_or_make(connection, &secret_keys)??;
    let site = Arc::default();
    Ok(Prepared { secret_keys, ring, cookie_key, node: None, highest_cost: None, first_admin: None, site })
}

/// Returns the secret keys, after checking that they open the database's check value. Creates nothing.
///
/// # Errors
/// See [`StartError`].
pub fn check_secret_keys(connection: &mut Connection, settings: &Settings) -> Result<SecretKeys, StartError> {
    let stored = instance::find_check_value(connection)?.ok_or(StartError::NeverServed)?;
    let secret_keys = secrets::load(settings, false)?;
    if secret_keys.opens(&stored) { Ok(secret_keys) } else { Err(StartError::WrongSecretKey) }
}

/// Returns the secret keys for a server. A new database gets a check value; if no key is set, one is created.
fn find_or_make_secret_keys(
    connection: &mut Connection,
    settings: &Settings,
) -> Result<SecretKeys, StartError> {
    if instance::find_check_value(connection)?.is_none() {
        let made = secrets::load(settings, true)?;
        instance::insert_check_value(connection, &made.check_value()?)?;
    }
    // The value is read again, because another node may have inserted its own first.
    check_secret_keys(connection, settings)
}

/// Reports the server to the other nodes. Stores the lifetime of its access tokens before it issues the first
/// one.
fn report_node(connection: &mut Connection, settings: &Settings) -> Result<Node, StartError> {
    let node = node::of(settings);
    transaction(connection, |connection| {
        nodes::insert(connection, &node)?;
        lifetime::raise_longest_ttl(connection, node.access_ttl_seconds)
    })?;
    Ok(node)
}

fn load_keys(
    connection: &mut Connection,
    settings: &Settings,
    secret_keys: &SecretKeys,
) -> Result<KeyRing, StartError> {
    let wanted = super::settings::algorithm(settings);
    let ring = signing_key::open(&signing_key::list(connection)?, secret_keys)?;
    let newest = ring.newest_at(Clock::default().now());
    if newest.is_some_and(|key| key.algorithm() == wanted) {
        return Ok(ring);
    }
    let private = PrivateKey::generate(wanted)?;
    let origin = Origin::server();
    transaction(connection, |connection| {
        signing_key::insert_unless(connection, &private, secret_keys, &origin, |newest| {
            newest.algorithm == wanted.as_str()
        })
    })?;
    Ok(signing_key::open(&signing_key::list(connection)?, secret_keys)?)
}

fn make_first_admin(
    connection: &mut Connection,
    settings: &Settings,
) -> Result<Option<FirstAdmin>, StartError> {
    if !user::is_empty(connection)? {
        return Ok(None);
    }
    let username = Username::parse_new(&settings.admin_username)
        .map_err(|error| StartError::Admin(format!("USERNAME {:?} {error}", settings.admin_username)))?;
    let (plain, made) = match &settings.admin_password {
        Some(set) => (PlainPassword::new(set.expose()), None),
        None => {
            let (plain, text) = PlainPassword::generate();
            (plain, Some(Secret::new(text)))
        }
    };
    let errors = super::settings::password_policy(settings).find_errors(&plain, &[username.as_str()]);
    if let Some(error) = errors.first() {
        return Err(StartError::Admin(format!("PASSWORD: {error}")));
    }
    let password_hash = PasswordHash::new(&plain, settings.bcrypt_cost);
    let password_hash = Some(password_hash.map_err(|error| StartError::Admin(format!("PASSWORD: {error}")))?);
    let new = NewUser { username, email: None, password_hash, role: role::ADMIN.to_owned() };
    let inserted = transaction(connection, |connection| {
        user::insert(connection, &new, &Authority::Unlimited, &Origin::server())
    })?;
    match inserted {
        InsertOutcome::Inserted(user) => Ok(Some(FirstAdmin { username: user.username, password: made })),
        // Another node has created the account first.
        InsertOutcome::NameTaken(_) | InsertOutcome::UnknownRole | InsertOutcome::Denied(_) => Ok(None),
    }
}
