//! Stores the keys that sign access tokens, encrypted, and provides the ring of current keys with their
//! public halves (RFC 7517).

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::json;

use super::key_times::{Times, find_signing};
use super::lifetime;
use super::private_key::{Algorithm, KeyError, PrivateKey, Signer};
use super::revocation::{self, Revocation};
use crate::audit::{EventDetails, Origin, Subject, event};
use crate::database::now;
use crate::database::schema::signing_keys;
use crate::secret_key::SecretKeys;

/// The type of an access token (RFC 9068, section 2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// A new key is published this long before it signs. Verifiers may cache the key set for at most half of it.
pub const PUBLISHED_AHEAD: TimeDelta = TimeDelta::minutes(10);

/// A decrypted key. `Debug` does not print its private half.
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    signer: Arc<Signer>,
    header: String,
    encoding_key: EncodingKey,
    decoding_key: DecodingKey,
    jwk: Jwk,
    times: Times,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({}, {})", self.kid, self.algorithm.as_str())
    }
}

impl SigningKey {
    /// Builds a key after a trial signature. jsonwebtoken panics at first use if it was built without its
    /// cryptography, and a stored key may be damaged.
    ///
    /// # Errors
    /// [`KeyError::Broken`].
    pub fn new(private: PrivateKey, times: Times) -> Result<Self, KeyError> {
        let PrivateKey { algorithm, pkcs8, encoding_key, jwk, kid } = private;
        let signer = Signer::new(algorithm, &pkcs8);
        let signer = signer.map_err(|error| KeyError::Broken(kid.clone(), error.to_string()))?;
        match verifies_what_it_signs(algorithm, &signer, &jwk) {
            Ok(Some(decoding_key)) => {
                let header = json!({ "typ": ACCESS_TOKEN_TYPE, "alg": algorithm.as_str(), "kid": kid });
                let header = URL_SAFE_NO_PAD.encode(header.to_string());
                let signer = Arc::new(signer);
                Ok(Self { kid, algorithm, signer, header, encoding_key, decoding_key, jwk, times })
            }
            Ok(None) => Err(KeyError::Broken(kid, "its signatures do not verify".into())),
            Err(error) => Err(KeyError::Broken(kid, error.to_string())),
        }
    }

    /// Returns the encoded header of the access tokens that it signs (RFC 9068, section 2.1).
    #[must_use]
    pub fn header(&self) -> &str {
        &self.header
    }

    /// Returns the signature of a message (RFC 7515, section 5.1, step 5), or `None` if the library fails.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.signer.sign(message).ok()
    }

    fn open(row: &Row, keys: &SecretKeys) -> Result<Self, KeyError> {
        let algorithm = Algorithm::parse(&row.algorithm)
            .ok_or_else(|| KeyError::Broken(row.kid.clone(), "its algorithm is unknown".into()))?;
        let pkcs8 = keys
            .open(&seal_name(&row.kid), &row.sealed_key)
            .map_err(|_| KeyError::Sealed(row.kid.clone()))?;
        let private = PrivateKey::new(algorithm, pkcs8);
        Self::new(private.map_err(|error| KeyError::Broken(row.kid.clone(), error.to_string()))?, row.times())
    }

    /// Returns the key's ID, which is the thumbprint of its public half.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the key with which jsonwebtoken signs anything that is not an access token.
    #[must_use]
    pub fn encoding_key(&self) -> &EncodingKey {
        &self.encoding_key
    }

    /// Returns the key with which jsonwebtoken verifies.
    #[must_use]
    pub fn decoding_key(&self) -> &DecodingKey {
        &self.decoding_key
    }

    #[must_use]
    pub fn times(&self) -> &Times {
        &self.times
    }
}

fn verifies_what_it_signs(
    algorithm: Algorithm,
    signer: &Signer,
    jwk: &Jwk,
) -> jsonwebtoken::errors::Result<Option<DecodingKey>> {
    let (algorithm, message) = (algorithm.for_jwt(), b"self-test");
    let decoding_key = DecodingKey::from_jwk(jwk)?;
    let Ok(signature) = signer.sign(message) else { return Ok(None) };
    let signature = URL_SAFE_NO_PAD.encode(signature);
    let verifies = jsonwebtoken::crypto::verify(&signature, message, &decoding_key, algorithm)?;
    Ok(verifies.then_some(decoding_key))
}

fn seal_name(kid: &str) -> String {
    format!("signing key {kid}")
}

/// Encrypts a private key. A failure of the cipher rolls back the caller's transaction.
fn seal(keys: &SecretKeys, kid: &str, pkcs8: &[u8]) -> QueryResult<Vec<u8>> {
    keys.seal(&seal_name(kid), pkcs8)
        .map_err(|error| diesel::result::Error::SerializationError(Box::new(error)))
}

/// The current keys.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    keys: Vec<SigningKey>,
}

impl KeyRing {
    #[must_use]
    pub fn new(keys: Vec<SigningKey>) -> Self {
        Self { keys }
    }

    /// Returns the key with this ID, even if it is revoked.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// Returns the key that signs at `now`.
    #[must_use]
    pub fn signing_at(&self, now: DateTime<Utc>) -> Option<&SigningKey> {
        find_signing(self.live_at(now), |key| key.times.signs_from, now)
    }

    /// Returns the newest live key, even if it does not sign yet.
    #[must_use]
    pub fn newest_at(&self, now: DateTime<Utc>) -> Option<&SigningKey> {
        self.live_at(now).max_by_key(|key| key.times.signs_from)
    }

    fn live_at(&self, now: DateTime<Utc>) -> impl Iterator<Item = &SigningKey> + Clone {
        self.keys.iter().filter(move |key| key.times.is_live_at(now))
    }

    /// Returns whether a key that signs now or later has a stored lifetime below `ttl`.
    #[must_use]
    pub fn needs_longer_ttl(&self, ttl: TimeDelta, now: DateTime<Utc>) -> bool {
        let signs_from = self.signing_at(now).map(|key| key.times.signs_from);
        self.live_at(now).any(|key| Some(key.times.signs_from) >= signs_from && key.times.longest_ttl < ttl)
    }

    /// Returns the published key set (RFC 7517, section 5). It contains the keys that sign, will sign, or
    /// have signed tokens that are still valid.
    #[must_use]
    pub fn jwks_at(&self, now: DateTime<Utc>) -> serde_json::Value {
        let keys: Vec<&Jwk> = self.live_at(now).map(|key| &key.jwk).collect();
        json!({ "keys": keys })
    }
}

/// A key as the database stores it.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = signing_keys, check_for_backend(diesel::pg::Pg))]
pub struct Row {
    pub kid: String,
    /// See [`Algorithm::as_str`].
    pub algorithm: String,
    sealed_key: Vec<u8>,
    /// The key is in the key set from this time.
    pub published_at: DateTime<Utc>,
    /// See [`Times`].
    pub signs_from: DateTime<Utc>,
    /// See [`Times`].
    pub retires_at: Option<DateTime<Utc>>,
    /// See [`Times`].
    pub revoked_at: Option<DateTime<Utc>>,
    /// See [`Times`].
    pub longest_ttl_seconds: i64,
}

impl Row {
    #[must_use]
    pub fn times(&self) -> Times {
        let Self { signs_from, retires_at, revoked_at, longest_ttl_seconds, .. } = *self;
        let longest_ttl = TimeDelta::try_seconds(longest_ttl_seconds).unwrap_or(TimeDelta::MAX);
        Times { signs_from, retires_at, revoked_at, longest_ttl }
    }
}

/// Returns all keys, oldest first.
pub fn list(connection: &mut PgConnection) -> QueryResult<Vec<Row>> {
    let order = (signing_keys::signs_from, signing_keys::kid);
    signing_keys::table.select(Row::as_select()).order(order).load(connection)
}

/// Decrypts all keys.
///
/// # Errors
/// The [`KeyError`] of the first key that cannot be decrypted or does not work.
pub fn open(rows: &[Row], keys: &SecretKeys) -> Result<KeyRing, KeyError> {
    rows.iter().map(|row| SigningKey::open(row, keys)).collect::<Result<_, _>>().map(KeyRing::new)
}

/// Publishes a key. It signs at once if no other key can, and otherwise after every verifier had time to
/// fetch it. A trigger sets when each earlier key retires.
pub fn insert(
    connection: &mut PgConnection,
    private: &PrivateKey,
    keys: &SecretKeys,
    origin: &Origin,
) -> QueryResult<Option<Row>> {
    insert_unless(connection, private, keys, origin, |_| false)
}

/// Publishes a key, unless `is_enough` accepts the newest live key.
pub fn insert_unless(
    connection: &mut PgConnection,
    private: &PrivateKey,
    keys: &SecretKeys,
    origin: &Origin,
    is_enough: impl Fn(&Row) -> bool,
) -> QueryResult<Option<Row>> {
    // The lock keeps two nodes that start at the same time from both creating the first key.
    lifetime::lock(connection)?;
    let moment: DateTime<Utc> = diesel::select(now()).get_result(connection)?;
    let newest = list(connection)?.into_iter().rfind(|row| row.times().is_live_at(moment));
    if newest.as_ref().is_some_and(is_enough) {
        return Ok(None);
    }
    let PrivateKey { kid, jwk, .. } = private;
    let signs_from = if may_sign(connection)? { moment + PUBLISHED_AHEAD } else { moment };
    let longest_ttl = lifetime::find_longest_ttl(connection)?;
    diesel::insert_into(signing_keys::table)
        .values((
            signing_keys::kid.eq(kid),
            signing_keys::algorithm.eq(private.algorithm.as_str()),
            signing_keys::sealed_key.eq(seal(keys, kid, &private.pkcs8)?),
            signing_keys::public_jwk.eq(json!(jwk)),
            signing_keys::published_at.eq(moment),
            signing_keys::signs_from.eq(signs_from),
            signing_keys::longest_ttl_seconds.eq(longest_ttl),
        ))
        .execute(connection)?;
    // The trigger may have set its `retires_at`, if a key that signs later was published before.
    let row: Row = signing_keys::table.find(kid).select(Row::as_select()).first(connection)?;
    if signs_from == moment && newest.is_some() {
        lifetime::publish(connection)?;
    }
    let algorithm = row.algorithm.clone();
    let details = EventDetails::SigningKeyPublished { kid: kid.clone(), algorithm, signs_from };
    event::insert(connection, origin, Subject::none(), &details)?;
    Ok(Some(row))
}

/// Returns whether any key may sign now.
pub fn may_sign(connection: &mut PgConnection) -> QueryResult<bool> {
    let is_live = signing_keys::revoked_at
        .is_null()
        .and(signing_keys::retires_at.is_null().or(signing_keys::retires_at.gt(now().nullable())));
    let signing = signing_keys::table.filter(is_live.and(signing_keys::signs_from.le(now())));
    diesel::select(diesel::dsl::exists(signing)).get_result(connection)
}

/// Publishes a key with the latest key's algorithm if none may sign, because then no one could sign in.
///
/// # Errors
/// PostgreSQL's, or `QueryBuilderError` if no key can be generated.
pub fn insert_where_none_signs(
    connection: &mut PgConnection,
    keys: &SecretKeys,
    origin: &Origin,
) -> QueryResult<Option<Row>> {
    if may_sign(connection)? {
        return Ok(None);
    }
    let Some(algorithm) = list(connection)?.last().and_then(|row| Algorithm::parse(&row.algorithm)) else {
        return Ok(None);
    };
    let private = PrivateKey::generate(algorithm);
    let private =
        private.map_err(|error| diesel::result::Error::QueryBuilderError(error.to_string().into()))?;
    insert(connection, &private, keys, origin)
}

/// Revokes a leaked key, so that every token that it signed is refused at once. The key before it signs
/// again, if it still may. If none may, the caller must create one in the same transaction. Returns false if
/// the key does not exist or is already revoked.
pub fn revoke(connection: &mut PgConnection, kid: &str, origin: &Origin) -> QueryResult<bool> {
    let revoked = diesel::update(signing_keys::table.find(kid))
        .filter(signing_keys::revoked_at.is_null())
        .set(signing_keys::revoked_at.eq(now().nullable()))
        .execute(connection)?;
    if revoked == 0 {
        return Ok(false);
    }
    let moment: DateTime<Utc> = diesel::select(now()).get_result(connection)?;
    // The revoked key may have been the successor of the newest live one. A key without a successor does not
    // retire.
    let newest = list(connection)?.into_iter().rfind(|row| row.times().is_live_at(moment));
    if let Some(newest) = newest {
        diesel::update(signing_keys::table.find(newest.kid))
            .set(signing_keys::retires_at.eq(None::<DateTime<Utc>>))
            .execute(connection)?;
    }
    // Someone who has the key can sign tokens with any `exp`, so the event must matter as long as the key's
    // row exists.
    revocation::insert(
        connection,
        &Revocation::Key(kid.to_owned()),
        "key_revoked",
        moment + TimeDelta::days(36_500),
    )?;
    let details = EventDetails::SigningKeyRevoked { kid: kid.to_owned() };
    event::insert(connection, origin, Subject::none(), &details)?;
    Ok(true)
}

/// Returns the IDs of the keys that are not revoked. With a time, only those published by then.
pub fn find_unrevoked(connection: &mut PgConnection, by: Option<DateTime<Utc>>) -> QueryResult<Vec<String>> {
    let mut query =
        signing_keys::table.filter(signing_keys::revoked_at.is_null()).select(signing_keys::kid).into_boxed();
    if let Some(by) = by {
        query = query.filter(signing_keys::published_at.le(by));
    }
    query.order(signing_keys::kid).load(connection)
}

/// Re-encrypts under the first secret key. Returns the number of keys that were encrypted under another one.
///
/// # Errors
/// The inner error names the first key that cannot be decrypted. The keys before it are already re-encrypted,
/// unless the caller rolls back.
pub fn reseal(connection: &mut PgConnection, keys: &SecretKeys) -> QueryResult<Result<usize, KeyError>> {
    let rows: Vec<Row> = signing_keys::table.select(Row::as_select()).for_update().load(connection)?;
    let stale: Vec<&Row> = rows.iter().filter(|row| !keys.is_sealed_by_first(&row.sealed_key)).collect();
    for row in &stale {
        let name = seal_name(&row.kid);
        let Ok(pkcs8) = keys.open(&name, &row.sealed_key) else {
            return Ok(Err(KeyError::Sealed(row.kid.clone())));
        };
        diesel::update(signing_keys::table.find(&row.kid))
            .set(signing_keys::sealed_key.eq(seal(keys, &row.kid, &pkcs8)?))
            .execute(connection)?;
    }
    Ok(Ok(stale.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_set_holds_exactly_the_verifying_keys() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        let key = |signs_from, retires_at, revoked_at| {
            let longest_ttl = TimeDelta::minutes(5);
            let times = Times { signs_from: at(signs_from), retires_at, revoked_at, longest_ttl };
            SigningKey::new(PrivateKey::generate(Algorithm::Es256).expect("a key"), times).expect("it works")
        };
        let old = key(100, Some(at(300)), None);
        let next = key(200, None, None);
        let leaked = key(250, None, Some(at(260)));
        let ring = KeyRing::new(vec![old.clone(), next.clone(), leaked]);
        assert_eq!(ring.newest_at(at(100)).map(SigningKey::kid), Some(next.kid()));
        assert_eq!(ring.jwks_at(at(299)), json!({ "keys": [old.jwk, next.jwk] }));
        assert_eq!(ring.jwks_at(at(300)), json!({ "keys": [next.jwk] }));
        let shown = format!("{old:?}");
        assert!(shown.contains(old.kid()) && shown.contains("ES256"), "{shown}");
    }
}
