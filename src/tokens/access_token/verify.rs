//! Verifies access tokens. jsonwebtoken verifies the signature. The claims are checked here, in the order of
//! the catalogue of refusals.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::claims::{Audience, Claims, Issuer, WireClaims, read};
use crate::tokens::key_times::Times;
use crate::tokens::names::Names;
use crate::tokens::signing_key::{ACCESS_TOKEN_TYPE, KeyRing, SigningKey};

/// `nbf` and `iat` may be this far ahead of the server's clock. `exp` has no leeway.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);
/// The maximum length of a token, in bytes.
pub const MAX_LEN: usize = 8 * 1024;

/// The first error found in an access token. Errors found after the signature was verified carry the claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTokenError {
    /// The token is not a JWT of this profile.
    Malformed,
    /// The token names a key that this server does not have.
    KeyUnknown,
    /// The token is not signed by the key that it names with that key's algorithm.
    SignatureInvalid,
    /// The token is signed by a revoked key. Anyone who has that key may have signed it.
    KeyRevoked {
        /// The time when the key was revoked.
        revoked_at: DateTime<Utc>,
    },
    /// The token expires later than any token that the key signed before its successor took over. Someone
    /// else who has the key signed it.
    KeyRetired {
        /// The time when the last token that the key signed had expired.
        retires_at: DateTime<Utc>,
    },
    /// `exp` has passed.
    Expired {
        /// The token's `exp`.
        expired_at: DateTime<Utc>,
        claims: Box<Claims>,
    },
    NotYetValid {
        /// The later of `nbf` and `iat`.
        valid_from: DateTime<Utc>,
        claims: Box<Claims>,
    },
    /// `iss` is a different issuer.
    IssuerMismatch {
        expected: String,
        /// The token's `iss`.
        found: String,
        claims: Box<Claims>,
    },
    /// `aud` does not contain this server.
    AudienceMismatch {
        expected: String,
        /// The token's `aud`.
        found: Vec<String>,
        claims: Box<Claims>,
    },
    /// The token is signed by this server, but it is not an access token.
    TypeMismatch {
        /// The `typ` of its header.
        found: String,
        claims: Box<Claims>,
    },
}

/// A token that one of this server's keys signed, for whatever purpose. Nothing in it depends on the time, so
/// it may be cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    pub claims: Claims,
    /// The token's scope.
    pub scope: Names,
    /// The ID of the key that signed it.
    pub kid: String,
    misdirected: Option<Box<WrongRecipient>>,
}

/// The reason why a genuine token is never valid as an access token for this server.
#[derive(Clone, Debug, PartialEq, Eq)]
enum WrongRecipient {
    /// The token names a different issuer.
    Issuer(String),
    /// The token names other audiences.
    Audience(Vec<String>),
    /// The token has a different `typ`.
    Type(String),
}

impl Signed {
    /// Checks the times first, then the issuer and audience, then the type.
    ///
    /// # Errors
    /// The first error, in that order.
    pub fn judge(&self, issuer: &Issuer, now: DateTime<Utc>) -> Result<(), AccessTokenError> {
        let claims = || Box::new(self.claims.clone());
        if self.claims.exp <= now {
            return Err(AccessTokenError::Expired { expired_at: self.claims.exp, claims: claims() });
        }
        let valid_from = self.claims.nbf.max(self.claims.iat);
        if valid_from > now + LEEWAY {
            return Err(AccessTokenError::NotYetValid { valid_from, claims: claims() });
        }
        let expected = issuer.url.clone();
        match self.misdirected.as_deref().cloned() {
            None => Ok(()),
            Some(WrongRecipient::Issuer(found)) => {
                Err(AccessTokenError::IssuerMismatch { expected, found, claims: claims() })
            }
            Some(WrongRecipient::Audience(found)) => {
                Err(AccessTokenError::AudienceMismatch { expected, found, claims: claims() })
            }
            Some(WrongRecipient::Type(found)) => {
                Err(AccessTokenError::TypeMismatch { found, claims: claims() })
            }
        }
    }

    /// Checks a cached token's key again.
    ///
    /// # Errors
    /// [`AccessTokenError::KeyUnknown`], [`AccessTokenError::KeyRevoked`], [`AccessTokenError::KeyRetired`].
    pub fn check_key(&self, ring: &KeyRing) -> Result<(), AccessTokenError> {
        check_times_of_key(ring.find(&self.kid).ok_or(AccessTokenError::KeyUnknown)?, &self.claims)
    }
}

/// Checks that the key is not revoked, and that the token does not outlive it. A key with a successor signed
/// nothing that outlives it, but someone who stole the key could.
fn check_times_of_key(key: &SigningKey, claims: &Claims) -> Result<(), AccessTokenError> {
    let Times { retires_at, revoked_at, .. } = *key.times();
    if let Some(revoked_at) = revoked_at {
        return Err(AccessTokenError::KeyRevoked { revoked_at });
    }
    match retires_at.filter(|retires_at| claims.exp > *retires_at) {
        Some(retires_at) => Err(AccessTokenError::KeyRetired { retires_at }),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
struct WireHeader {
    alg: String,
    #[serde(default)]
    typ: String,
    #[serde(default)]
    kid: String,
    crit: Option<serde_json::Value>,
}

/// Checks the format and the signature only. The result records whether issuer, audience and type are this
/// server's.
///
/// # Errors
/// [`AccessTokenError::Malformed`], [`AccessTokenError::KeyUnknown`], [`AccessTokenError::SignatureInvalid`],
/// [`AccessTokenError::KeyRevoked`] or [`AccessTokenError::KeyRetired`].
pub fn verify_signature(ring: &KeyRing, issuer: &Issuer, token: &str) -> Result<Signed, AccessTokenError> {
    use AccessTokenError::{KeyUnknown, Malformed, SignatureInvalid};
    if token.len() > MAX_LEN {
        return Err(Malformed);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(Malformed)?;
    let header: WireHeader = decode(header).ok_or(Malformed)?;
    if payload.contains('.') || URL_SAFE_NO_PAD.decode(signature).is_err() || header.crit.is_some() {
        // doorward understands no extensions, so a token with a critical one must be refused (RFC 7515,
        // section 4.1.11).
        return Err(Malformed);
    }
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Malformed)?;
    let key = ring.find(&header.kid).ok_or(KeyUnknown)?;
    // The key determines the algorithm, never the token.
    if header.alg != key.algorithm().as_str() {
        return Err(SignatureInvalid);
    }
    let genuine = jsonwebtoken::crypto::verify(
        signature,
        message.as_bytes(),
        key.decoding_key(),
        key.algorithm().for_jwt(),
    );
    if !matches!(genuine, Ok(true)) {
        return Err(SignatureInvalid);
    }
    let wire: WireClaims = from_json(&payload).ok_or(Malformed)?;
    let claims = read(&wire).ok_or(Malformed)?;
    check_times_of_key(key, &claims)?;
    let misdirected = misdirected(wire, header.typ, issuer).map(Box::new);
    let scope = Names::of_scope(&claims.scope);
    Ok(Signed { claims, scope, kid: header.kid, misdirected })
}

fn misdirected(wire: WireClaims, typ: String, issuer: &Issuer) -> Option<WrongRecipient> {
    if wire.iss != issuer.url {
        return Some(WrongRecipient::Issuer(wire.iss));
    }
    let audiences = match wire.aud {
        Audience::One(audience) => vec![audience],
        Audience::Several(audiences) => audiences,
    };
    if !audiences.contains(&issuer.url) {
        return Some(WrongRecipient::Audience(audiences));
    }
    (!is_access_token_type(&typ)).then_some(WrongRecipient::Type(typ))
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    from_json(&URL_SAFE_NO_PAD.decode(part).ok()?)
}

/// Parses JSON, which must be UTF-8, including the members that are not read (RFC 8259, section 8.1).
fn from_json<T: serde::de::DeserializeOwned>(text: &[u8]) -> Option<T> {
    serde_json::from_str(std::str::from_utf8(text).ok()?).ok()
}

/// Returns whether `typ` is `at+jwt`, in any case, with or without `application/` (RFC 9068, section 4).
fn is_access_token_type(typ: &str) -> bool {
    typ.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE) || typ.eq_ignore_ascii_case("application/at+jwt")
}
