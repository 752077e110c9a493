//! Access tokens: JWTs of the profile of RFC 9068. jsonwebtoken makes and checks the signature; the claims are
//! checked here, in the order of the catalogue of refusals.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Header;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::signing_key::{KeyRing, SigningKey};

/// How far ahead of our clock `nbf` and `iat` may be. `exp` has no leeway.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);
/// Bytes that a token may have.
const MAX_LEN: usize = 8 * 1024;
/// The type of an access token (RFC 9068, section 2.1).
const TYPE: &str = "at+jwt";

/// Whom tokens are from and for.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The public URL: `iss`, and the audience that must be among `aud`.
    pub url: String,
    /// Further audiences.
    pub audiences: Vec<String>,
}

/// What an access token says (RFC 9068, section 2.2), times in whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The user.
    pub sub: Uuid,
    /// The token.
    pub jti: Uuid,
    /// The session.
    pub sid: Uuid,
    /// The generation of the refresh token that it was issued with.
    pub generation: i32,
    /// The user's version, as the issuing statement read it.
    pub ver: i64,
    /// Who asked for it.
    pub client_id: String,
    /// What it may do, separated by spaces.
    pub scope: String,
    /// The last sign-in or step-up.
    pub auth_time: DateTime<Utc>,
    /// When it was issued.
    pub iat: DateTime<Utc>,
    /// From when it is good.
    pub nbf: DateTime<Utc>,
    /// From when it is no longer good.
    pub exp: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct WireClaims {
    iss: String,
    sub: Uuid,
    aud: Audience,
    exp: i64,
    iat: i64,
    nbf: i64,
    jti: Uuid,
    client_id: String,
    scope: String,
    auth_time: i64,
    sid: Uuid,
    #[serde(rename = "gen")]
    generation: i32,
    ver: i64,
}

/// One audience or several (RFC 7519, section 4.1.3).
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// An access token that is good by itself; the session and its user are not looked at.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What it says.
    pub claims: Claims,
    /// The key that signed it.
    pub kid: String,
}

/// The first thing wrong with an access token. What comes after the signature was proven carries the claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTokenFlaw {
    /// No JWT of this profile.
    Malformed,
    /// Not signed by a key of ours, by its algorithm.
    SignatureInvalid,
    /// Signed by a key that is revoked: whoever has it may have signed this.
    KeyRevoked {
        /// When.
        revoked_at: DateTime<Utc>,
    },
    /// Past `exp`.
    Expired {
        /// `exp`.
        expired_at: DateTime<Utc>,
        /// What it says.
        claims: Box<Claims>,
    },
    /// `nbf` or `iat` lies ahead.
    NotYetValid {
        /// The later of both.
        valid_from: DateTime<Utc>,
        /// What it says.
        claims: Box<Claims>,
    },
    /// From somebody else.
    IssuerMismatch {
        /// Our issuer.
        expected: String,
        /// The token's.
        found: String,
        /// What it says.
        claims: Box<Claims>,
    },
    /// For somebody else.
    AudienceMismatch {
        /// Our audience.
        expected: String,
        /// The token's.
        found: Vec<String>,
        /// What it says.
        claims: Box<Claims>,
    },
    /// Signed by us, but no access token.
    TypeMismatch {
        /// Its `typ`.
        found: String,
        /// What it says.
        claims: Box<Claims>,
    },
}

impl AccessTokenFlaw {
    /// What the token says, where its signature was proven.
    #[must_use]
    pub fn claims(&self) -> Option<&Claims> {
        match self {
            Self::Malformed | Self::SignatureInvalid | Self::KeyRevoked { .. } => None,
            Self::Expired { claims, .. }
            | Self::NotYetValid { claims, .. }
            | Self::IssuerMismatch { claims, .. }
            | Self::AudienceMismatch { claims, .. }
            | Self::TypeMismatch { claims, .. } => Some(claims),
        }
    }
}

/// Why no token could be signed.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No key may sign at this moment.
    #[error("there is no key that may sign")]
    NoKey,
    /// The library failed.
    #[error("{0}")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

/// Signs an access token with the key that signs at `now`.
///
/// # Errors
/// See [`IssueError`].
pub fn issue(
    ring: &KeyRing,
    issuer: &Issuer,
    claims: &Claims,
    now: DateTime<Utc>,
) -> Result<String, IssueError> {
    let key = ring.signing_at(now).ok_or(IssueError::NoKey)?;
    sign(key, &wire(issuer, claims))
}

fn sign(key: &SigningKey, claims: &WireClaims) -> Result<String, IssueError> {
    let mut header = Header::new(key.algorithm().for_jwt());
    header.typ = Some(TYPE.to_owned());
    header.kid = Some(key.kid().to_owned());
    Ok(jsonwebtoken::encode(&header, claims, key.encoding_key())?)
}

fn wire(issuer: &Issuer, claims: &Claims) -> WireClaims {
    let audiences: Vec<String> = std::iter::once(&issuer.url).chain(&issuer.audiences).cloned().collect();
    WireClaims {
        iss: issuer.url.clone(),
        sub: claims.sub,
        aud: if issuer.audiences.is_empty() {
            Audience::One(issuer.url.clone())
        } else {
            Audience::Several(audiences)
        },
        exp: claims.exp.timestamp(),
        iat: claims.iat.timestamp(),
        nbf: claims.nbf.timestamp(),
        jti: claims.jti,
        client_id: claims.client_id.clone(),
        scope: claims.scope.clone(),
        auth_time: claims.auth_time.timestamp(),
        sid: claims.sid,
        generation: claims.generation,
        ver: claims.ver,
    }
}

/// Checks an access token: form, signature, times, issuer and audience, type.
///
/// # Errors
/// The first flaw, in that order.
pub fn verify(
    ring: &KeyRing,
    issuer: &Issuer,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Verified, AccessTokenFlaw> {
    let signed = verify_signature(ring, token)?;
    let Signed { wire, claims, typ, kid } = signed;
    let boxed = || Box::new(claims.clone());
    if claims.exp <= now {
        return Err(AccessTokenFlaw::Expired { expired_at: claims.exp, claims: boxed() });
    }
    let valid_from = claims.nbf.max(claims.iat);
    if valid_from > now + LEEWAY {
        return Err(AccessTokenFlaw::NotYetValid { valid_from, claims: boxed() });
    }
    if wire.iss != issuer.url {
        let (expected, found) = (issuer.url.clone(), wire.iss);
        return Err(AccessTokenFlaw::IssuerMismatch { expected, found, claims: boxed() });
    }
    let audiences = match wire.aud {
        Audience::One(audience) => vec![audience],
        Audience::Several(audiences) => audiences,
    };
    if !audiences.contains(&issuer.url) {
        let (expected, found) = (issuer.url.clone(), audiences);
        return Err(AccessTokenFlaw::AudienceMismatch { expected, found, claims: boxed() });
    }
    if !is_access_token_type(&typ) {
        return Err(AccessTokenFlaw::TypeMismatch { found: typ, claims: boxed() });
    }
    Ok(Verified { claims, kid })
}

/// A token that a key of ours signed, whatever it is good for.
pub struct Signed {
    wire: WireClaims,
    /// What it says.
    pub claims: Claims,
    /// Its `typ`; empty when it has none.
    pub typ: String,
    kid: String,
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

/// Checks form and signature alone.
///
/// # Errors
/// [`AccessTokenFlaw::Malformed`], [`AccessTokenFlaw::SignatureInvalid`] or [`AccessTokenFlaw::KeyRevoked`].
pub fn verify_signature(ring: &KeyRing, token: &str) -> Result<Signed, AccessTokenFlaw> {
    use AccessTokenFlaw::{KeyRevoked, Malformed, SignatureInvalid};
    if token.len() > MAX_LEN {
        return Err(Malformed);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(Malformed)?;
    let header: WireHeader = decode(header).ok_or(Malformed)?;
    if payload.contains('.') || URL_SAFE_NO_PAD.decode(signature).is_err() || header.crit.is_some() {
        // RFC 7515, section 4.1.11: no extension is understood here, so one that must be is refused.
        return Err(Malformed);
    }
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Malformed)?;
    let key = ring.find(&header.kid).ok_or(SignatureInvalid)?;
    // The key says by which algorithm, never the token.
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
    if let Some(revoked_at) = key.revoked_at() {
        return Err(KeyRevoked { revoked_at });
    }
    let wire: WireClaims = serde_json::from_slice(&payload).map_err(|_| Malformed)?;
    let claims = read(&wire).ok_or(Malformed)?;
    Ok(Signed { wire, claims, typ: header.typ, kid: header.kid })
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn read(wire: &WireClaims) -> Option<Claims> {
    let time = |seconds| DateTime::from_timestamp(seconds, 0);
    Some(Claims {
        sub: wire.sub,
        jti: wire.jti,
        sid: wire.sid,
        generation: wire.generation,
        ver: wire.ver,
        client_id: wire.client_id.clone(),
        scope: wire.scope.clone(),
        auth_time: time(wire.auth_time)?,
        iat: time(wire.iat)?,
        nbf: time(wire.nbf)?,
        exp: time(wire.exp)?,
    })
}

/// RFC 9068, section 4: `at+jwt`, with or without `application/`, whatever the case.
fn is_access_token_type(typ: &str) -> bool {
    typ.eq_ignore_ascii_case(TYPE) || typ.eq_ignore_ascii_case("application/at+jwt")
}
