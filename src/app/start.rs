//! What happens to the database before a server serves on it: migrations, the secret key's check, the first signing
//! key, the first admin.

use super::background;
use super::node;
use super::secrets::{self, SecretsError};
use crate::audit::Origin;
use crate::clock::Clock;
use crate::config::{Secret, Settings};
use crate::database::migrate::{self, MigrateError};
use crate::database::nodes::{self, Node};
use crate::database::{Connection, QueryError, describe, instance, transaction};
use crate::secret_key::{SealError, SecretKeys};
use crate::sessions::CookieKey;
use crate::sessions::cookie_key::{self, SealedCookieKey};
use crate::tokens::lifetime;
use crate::tokens::private_key::{KeyError, PrivateKey};
use crate::tokens::revocation::{self, Revoked};
use crate::tokens::signing_key::{self, KeyRing};
use crate::users::canonical_names;
use crate::users::name::Username;
use crate::users::password::{PasswordHash, PlainPassword};
use crate::users::user::{self, Authority, Insertion, NewUser};

/// Why the server does not start on this database.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// PostgreSQL failed.
    #[error("{}", describe(.0))]
    Query(#[from] QueryError),
    /// The schema is not to be had.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// There are no secret keys.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The secret keys are others than this database's.
    #[error(
        "none of the secret keys opens this database: it was made with another. Set DOORWARD_SECRET_KEY to the one \
         that all its nodes have"
    )]
    WrongSecretKey,
    /// The check value cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A command looks for what only a server makes.
    #[error(
        "no server has been started on this database yet: start `doorward serve` on it once, or set DATABASE_URL to \
         the one that is meant"
    )]
    NeverServed,
    /// A signing key does not open or work.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key of session cookies does not open.
    #[error(transparent)]
    CookieKey(#[from] SealedCookieKey),
    /// The first admin cannot be made as the settings say.
    #[error("DOORWARD_ADMIN_{0}")]
    Admin(String),
}

/// What a server needs of its database.
pub struct Prepared {
    /// The secret keys.
    pub secret_keys: SecretKeys,
    /// The signing keys.
    pub ring: KeyRing,
    /// The key that signs session cookies.
    pub cookie_key: CookieKey,
    /// The server, as it has reported itself to the others; `None`: a command, which does not serve.
    pub node: Option<Node>,
    /// The highest cost among the stored password hashes.
    pub highest_cost: Option<u32>,
    /// The first admin, made just now, with a random password that is to be told once.
    pub first_admin: Option<FirstAdmin>,
}

/// The first admin.
pub struct FirstAdmin {
    /// The name.
    pub username: String,
    /// The password, when it was made here.
    pub password: Option<Secret>,
}

/// Brings a database to the state that a server needs.
///
/// # Errors
/// See [`StartError`].
pub fn prepare(connection: &mut Connection, settings: &Settings) -> Result<Prepared, StartError> {
    let ran = migrate::run(connection)?;
    if !ran.is_empty() {
        tracing::info!(migrations = ran.len(), "migrated the database");
        if !user::is_empty(connection)? {
            // Nodes that serve meanwhile remember what roles might do before.
            revocation::insert_change(connection, &Revoked::Everything, "migrated")?;
            background::log_names(&canonical_names::run(connection)?);
        }
    }
    if user::is_empty(connection)? {
        // An empty database gets every index at once, another one beside the service.
        migrate::make_indexes(connection)?;
    }
    revocation::adopt(connection)?;
    let secret_keys = find_or_make_secret_keys(connection, settings)?;
    let node = report_node(connection, settings)?;
    let ring = load_keys(connection, settings, &secret_keys)?;
    let cookie_key = cookie_key::find_or_make(connection, &secret_keys)??;
    let first_admin = make_first_admin(connection, settings)?;
    let highest_cost = user::find_highest_cost(connection)?.and_then(|cost| u32::try_from(cost).ok());
    Ok(Prepared { secret_keys, ring, cookie_key, node: Some(node), highest_cost, first_admin })
}

/// What stands on a database that a server has prepared, for a command beside it; makes nothing.
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
    Ok(Prepared { secret_keys, ring, cookie_key, node: None, highest_cost: None, first_admin: None })
}

/// The secret keys, which must open the database's check value; makes nothing.
///
/// # Errors
/// See [`StartError`].
pub fn check_secret_keys(connection: &mut Connection, settings: &Settings) -> Result<SecretKeys, StartError> {
    let stored = instance::find_check_value(connection)?.ok_or(StartError::NeverServed)?;
    let secret_keys = secrets::load(settings, false)?;
    if secret_keys.opens(&stored) { Ok(secret_keys) } else { Err(StartError::WrongSecretKey) }
}

/// The same for a server: a new database gets its check value, of a key that is made where none is set.
fn find_or_make_secret_keys(
    connection: &mut Connection,
    settings: &Settings,
) -> Result<SecretKeys, StartError> {
    if instance::find_check_value(connection)?.is_none() {
        let made = secrets::load(settings, true)?;
        instance::insert_check_value(connection, &made.check_value()?)?;
    }
    // Read again: another node may have been first.
    check_secret_keys(connection, settings)
}

/// Reports the server to the others, and stores the lifetime of its access tokens before it issues the first one.
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
        .map_err(|flaw| StartError::Admin(format!("USERNAME {:?} {flaw}", settings.admin_username)))?;
    let (plain, made) = match &settings.admin_password {
        Some(set) => (PlainPassword::new(set.expose()), None),
        None => {
            let (plain, text) = PlainPassword::generate();
            (plain, Some(Secret::new(text)))
        }
    };
    let flaws = super::settings::password_policy(settings).flaws(&plain, &[username.as_str()]);
    if let Some(flaw) = flaws.first() {
        return Err(StartError::Admin(format!("PASSWORD: {flaw}")));
    }
    let password_hash = PasswordHash::new(&plain, settings.bcrypt_cost);
    let password_hash = Some(password_hash.map_err(|error| StartError::Admin(format!("PASSWORD: {error}")))?);
    let new = NewUser { username, email: None, password_hash, role: "admin".to_owned() };
    let inserted = transaction(connection, |connection| {
        user::insert(connection, &new, &Authority::Unlimited, &Origin::server())
    })?;
    match inserted {
        Insertion::Inserted(user) => Ok(Some(FirstAdmin { username: user.username, password: made })),
        // Another node was first.
        Insertion::NameTaken(_) | Insertion::UnknownRole | Insertion::Denied(_) => Ok(None),
    }
}
