//! Stores the key that signs session cookies. It is random, encrypted at rest like the signing keys, and
//! shared by all nodes.

use diesel::prelude::*;

use crate::database::instance;
use crate::random;
use crate::secret_key::SecretKeys;

/// Bytes of the key. HMAC-SHA-256 takes 32. Another 32 are for encryption, which doorward does not use.
const LEN: usize = 64;
/// The name that the encrypted key is bound to.
const SEAL_NAME: &str = "cookie key";

/// Error: the stored key is encrypted under a secret key that is not configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of session cookies is encrypted with a secret key that is not set")]
pub struct SealedCookieKey;

/// The key that signs session cookies. `Debug` does not print it.
#[derive(Clone)]
pub struct CookieKey([u8; LEN]);

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("CookieKey(…)")
    }
}

impl CookieKey {
    /// Generates a random key.
    #[must_use]
    pub fn generate() -> Self {
        Self(random::bytes())
    }

    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Returns the stored key. The first server on a database generates it.
///
/// # Errors
/// The inner error is [`SealedCookieKey`].
pub(crate) fn find_or_make(
    connection: &mut PgConnection,
    keys: &SecretKeys,
) -> QueryResult<Result<CookieKey, SealedCookieKey>> {
    if instance::find_cookie_key(connection)?.is_none() {
        let made = CookieKey::generate();
        instance::insert_cookie_key(connection, &seal(keys, made.expose())?)?;
    }
    // Read it again, because another node may have stored its key first.
    let sealed = instance::find_cookie_key(connection)?.ok_or(diesel::NotFound)?;
    let opened = keys.open(SEAL_NAME, &sealed).ok().and_then(|key| key.try_into().ok());
    Ok(opened.map(CookieKey).ok_or(SealedCookieKey))
}

/// Re-encrypts the stored key under the first secret key.
///
/// # Errors
/// The inner error is [`SealedCookieKey`].
pub(crate) fn reseal(
    connection: &mut PgConnection,
    keys: &SecretKeys,
) -> QueryResult<Result<(), SealedCookieKey>> {
    let Some(sealed) = instance::find_cookie_key(connection)? else { return Ok(Ok(())) };
    match keys.open(SEAL_NAME, &sealed) {
        Ok(key) => instance::update_cookie_key(connection, &seal(keys, &key)?).map(Ok),
        Err(_) => Ok(Err(SealedCookieKey)),
    }
}

/// Encrypts the key. A failure of the cipher rolls back the caller's transaction.
fn seal(keys: &SecretKeys, key: &[u8]) -> QueryResult<Vec<u8>> {
    keys.seal(SEAL_NAME, key).map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_different_each_time_and_never_printed() {
        let key = CookieKey::generate();
        assert_ne!(key.expose(), CookieKey::generate().expose());
        assert_eq!(format!("{key:?}"), "CookieKey(…)");
    }
}
