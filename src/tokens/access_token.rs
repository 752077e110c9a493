//! Issues and verifies access tokens, which are JWTs with the profile of RFC 9068. jsonwebtoken verifies the
//! signature. The claims are checked here, in the order of the catalogue of refusals.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::names::Names;
use super::signing_key::{ACCESS_TOKEN_TYPE, KeyRing, SigningKey, Times};

/// `nbf` and `iat` may be this far ahead of the server's clock. `exp` has no leeway.
const LEEWAY: TimeDelta = TimeDelta::seconds(5);
/// The maximum length of a token, in bytes.
pub const MAX_LEN: usize = 8 * 1024;

/// The issuer and the audiences of access tokens.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The public URL. It is the `iss` of issued tokens, and it must be in `aud` of verified ones.
    pub url: String,
    /// Further values of `aud` in issued tokens.
    pub audiences: Vec<String>,
}

/// The claims of an access token (RFC 9068, section 2.2). Times are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The user's ID.
    pub sub: Uuid,
    /// The token's ID.
    pub jti: Uuid,
    /// The session's ID.
    pub sid: Uuid,
    /// The generation of the refresh token that it was issued with.
    pub generation: i32,
    /// The user's version, as the issuing statement read it.
    pub ver: i64,
    /// The client that requested the token.
    pub client_id: String,
    /// The scope, as names separated by spaces.
    pub scope: String,
    /// The time of the last sign-in or step-up.
    pub auth_time: DateTime<Utc>,
    pub iat: DateTime<Utc>,
    /// The token is valid from this time.
    pub nbf: DateTime<Utc>,
    /// The token is invalid from this time.
    pub exp: DateTime<Utc>,
}

/// The kind of software, besides this server, that reads an access token. Some readers need extra claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Software that knows RFC 9068.
    Standard,
    /// djangorestframework-simplejwt as well, which needs `token_type` and `user_id`.
    Simplejwt,
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
    // Only for other readers. This server does not read them.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    user_id: Option<Uuid>,
}

/// One audience or several (RFC 7519, section 4.1.3).
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// The first error found in an access token. Errors found after the signature was verified carry the claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTokenFlaw {
    /// It is not a JWT of this profile.
    Malformed,
    /// It names a key that this server does not have.
    KeyUnknown,
    /// It is not signed by the key that it names with that key's algorithm.
    SignatureInvalid,
    /// It is signed by a revoked key. Anyone who has that key may have signed it.
    KeyRevoked {
        /// The time when the key was revoked.
        revoked_at: DateTime<Utc>,
    },
    /// It expires later than any token that the key signed before its successor took over. Someone else who
    /// has the key signed it.
    KeyRetired {
        /// The time when the last token that the key signed had expired.
        retires_at: DateTime<Utc>,
    },
    /// `exp` has passed.
    Expired {
        /// The token's `exp`.
        expired_at: DateTime<Utc>,
        /// The token's claims.
        claims: Box<Claims>,
    },
    NotYetValid {
        /// The later of `nbf` and `iat`.
        valid_from: DateTime<Utc>,
        /// The token's claims.
        claims: Box<Claims>,
    },
    /// `iss` is another issuer.
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
    /// It is signed by this server, but it is not an access token.
    TypeMismatch {
        /// The `typ` of its header.
        found: String,
        claims: Box<Claims>,
    },
}

/// The reason why no token could be signed.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No key may sign at this time.
    #[error("there is no key that may sign")]
    NoKey,
    /// The claims could not be encoded as JSON.
    #[error("{0}")]
    Encoding(#[from] serde_json::Error),
    /// The library failed.
    #[error("the key does not sign")]
    Signing,
}

/// Signs an access token with the key that signs at `now`. Returns it with the time at which it expires,
/// which may be before the `exp` of `claims`, because a token must not outlive its key.
pub fn issue(
    ring: &KeyRing,
    issuer: &Issuer,
    claims: &Claims,
    reader: Reader,
    now: DateTime<Utc>,
) -> Result<(String, DateTime<Utc>), IssueError> {
    let key = ring.signing_at(now).ok_or(IssueError::NoKey)?;
    let expires_at = claims.exp.min(key.times().latest_expiry(now));
    let mut wire = wire(issuer, claims);
    wire.exp = expires_at.timestamp();
    if reader == Reader::Simplejwt {
        (wire.token_type, wire.user_id) = (Some("access"), Some(claims.sub));
    }
    Ok((sign(key, &wire)?, expires_at))
}

/// Signs the claims in the compact serialization (RFC 7515, section 7.1).
fn sign(key: &SigningKey, claims: &WireClaims) -> Result<String, IssueError> {
    let mut token = format!("{}.", key.header());
    URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims)?, &mut token);
    let signature = key.sign(token.as_bytes()).ok_or(IssueError::Signing)?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
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
        token_type: None,
        user_id: None,
    }
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
    misdirected: Option<Box<Misdirected>>,
}

/// The reason why a genuine token is never valid as an access token for this server.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Misdirected {
    /// It names another issuer.
    Issuer(String),
    /// It names other audiences.
    Audience(Vec<String>),
    /// It has another `typ`.
    Type(String),
}

impl Signed {
    /// Checks the times first, then the issuer and audience, then the type.
    ///
    /// # Errors
    /// The first error, in that order.
    pub fn judge(&self, issuer: &Issuer, now: DateTime<Utc>) -> Result<(), AccessTokenFlaw> {
        let claims = || Box::new(self.claims.clone());
        if self.claims.exp <= now {
            return Err(AccessTokenFlaw::Expired { expired_at: self.claims.exp, claims: claims() });
        }
        let valid_from = self.claims.nbf.max(self.claims.iat);
        if valid_from > now + LEEWAY {
            return Err(AccessTokenFlaw::NotYetValid { valid_from, claims: claims() });
        }
        let expected = issuer.url.clone();
        match self.misdirected.as_deref().cloned() {
            None => Ok(()),
            Some(Misdirected::Issuer(found)) => {
                Err(AccessTokenFlaw::IssuerMismatch { expected, found, claims: claims() })
            }
            Some(Misdirected::Audience(found)) => {
                Err(AccessTokenFlaw::AudienceMismatch { expected, found, claims: claims() })
            }
            Some(Misdirected::Type(found)) => Err(AccessTokenFlaw::TypeMismatch { found, claims: claims() }),
        }
    }

    /// Checks a cached token's key again.
    ///
    /// # Errors
    /// [`AccessTokenFlaw::KeyUnknown`], [`AccessTokenFlaw::KeyRevoked`], [`AccessTokenFlaw::KeyRetired`].
    pub fn check_key(&self, ring: &KeyRing) -> Result<(), AccessTokenFlaw> {
        check_times_of_key(ring.find(&self.kid).ok_or(AccessTokenFlaw::KeyUnknown)?, &self.claims)
    }
}

/// Checks that the key is not revoked, and that the token does not outlive it. A key with a successor signed
/// nothing that outlives it, but someone who stole the key could.
fn check_times_of_key(key: &SigningKey, claims: &Claims) -> Result<(), AccessTokenFlaw> {
    let Times { retires_at, revoked_at, .. } = *key.times();
    if let Some(revoked_at) = revoked_at {
        return Err(AccessTokenFlaw::KeyRevoked { revoked_at });
    }
    match retires_at.filter(|retires_at| claims.exp > *retires_at) {
        Some(retires_at) => Err(AccessTokenFlaw::KeyRetired { retires_at }),
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
/// [`AccessTokenFlaw::Malformed`], [`AccessTokenFlaw::KeyUnknown`], [`AccessTokenFlaw::SignatureInvalid`],
/// [`AccessTokenFlaw::KeyRevoked`] or [`AccessTokenFlaw::KeyRetired`].
pub fn verify_signature(ring: &KeyRing, issuer: &Issuer, token: &str) -> Result<Signed, AccessTokenFlaw> {
    use AccessTokenFlaw::{KeyUnknown, Malformed, SignatureInvalid};
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

fn misdirected(wire: WireClaims, typ: String, issuer: &Issuer) -> Option<Misdirected> {
    if wire.iss != issuer.url {
        return Some(Misdirected::Issuer(wire.iss));
    }
    let audiences = match wire.aud {
        Audience::One(audience) => vec![audience],
        Audience::Several(audiences) => audiences,
    };
    if !audiences.contains(&issuer.url) {
        return Some(Misdirected::Audience(audiences));
    }
    (!is_access_token_type(&typ)).then_some(Misdirected::Type(typ))
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    from_json(&URL_SAFE_NO_PAD.decode(part).ok()?)
}

/// Parses JSON, which must be UTF-8, including the members that are not read (RFC 8259, section 8.1).
fn from_json<T: serde::de::DeserializeOwned>(text: &[u8]) -> Option<T> {
    serde_json::from_str(std::str::from_utf8(text).ok()?).ok()
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

/// Returns whether `typ` is `at+jwt`, in any case, with or without `application/` (RFC 9068, section 4).
fn is_access_token_type(typ: &str) -> bool {
    typ.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE) || typ.eq_ignore_ascii_case("application/at+jwt")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::tokens::private_key::{Algorithm, PrivateKey};

    const NOW: i64 = 1_800_000_000;
    const LONGEST_TTL: TimeDelta = TimeDelta::minutes(5);

    fn verify(
        ring: &KeyRing,
        issuer: &Issuer,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<Signed, AccessTokenFlaw> {
        let signed = verify_signature(ring, issuer, token)?;
        signed.judge(issuer, now).map(|()| signed)
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    fn key(algorithm: Algorithm) -> SigningKey {
        let private = PrivateKey::generate(algorithm).expect("a key");
        let times = Times { signs_from: at(0), retires_at: None, revoked_at: None, longest_ttl: LONGEST_TTL };
        SigningKey::new(private, times).expect("a working key")
    }

    fn issuer() -> Issuer {
        Issuer { url: "https://id.example".into(), audiences: Vec::new() }
    }

    fn claims() -> Claims {
        Claims {
            sub: Uuid::from_u128(1),
            jti: Uuid::from_u128(2),
            sid: Uuid::from_u128(3),
            generation: 4,
            ver: 5,
            client_id: "doorward".into(),
            scope: "notes:read".into(),
            auth_time: at(NOW - 60),
            iat: at(NOW),
            nbf: at(NOW),
            exp: at(NOW + 300),
        }
    }

    /// Signs any claims with any header.
    fn forge(key: &SigningKey, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let mut header =
            json!({ "alg": key.algorithm().as_str(), "typ": ACCESS_TOKEN_TYPE, "kid": key.kid() });
        let mut payload = serde_json::to_value(wire(&issuer(), &claims())).expect("claims");
        change(&mut header, &mut payload);
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&header), encode(&payload));
        let algorithm = key.algorithm().for_jwt();
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key.encoding_key(), algorithm)
            .expect("a signature");
        format!("{message}.{signature}")
    }

    fn flaw(ring: &KeyRing, token: &str) -> Option<AccessTokenFlaw> {
        verify(ring, &issuer(), token, at(NOW)).err()
    }

    #[test]
    fn what_is_issued_is_good_until_the_second_it_expires() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
            let ring = KeyRing::new(vec![key(algorithm)]);
            let (token, _) = issue(&ring, &issuer(), &claims(), Reader::Standard, at(NOW)).expect("a token");
            let verified = verify(&ring, &issuer(), &token, at(NOW + 299)).expect("good");
            assert_eq!(verified.claims, claims());
            let expired = verify(&ring, &issuer(), &token, at(NOW + 300)).err();
            let claims = Box::new(claims());
            assert_eq!(expired, Some(AccessTokenFlaw::Expired { expired_at: at(NOW + 300), claims }));
        }
    }

    #[test]
    fn a_clock_ahead_is_borne_for_five_seconds() {
        let key = key(Algorithm::Es256);
        let ring = KeyRing::new(vec![key.clone()]);
        for name in ["nbf", "iat"] {
            let ahead = |seconds: i64| forge(&key, |_, payload| payload[name] = json!(NOW + seconds));
            assert_eq!(flaw(&ring, &ahead(5)), None);
            assert!(
                matches!(flaw(&ring, &ahead(6)), Some(AccessTokenFlaw::NotYetValid { valid_from, .. }) if valid_from == at(NOW + 6))
            );
        }
    }

    #[test]
    fn every_claim_is_required_and_of_its_type() {
        let key = key(Algorithm::Es256);
        let ring = KeyRing::new(vec![key.clone()]);
        let names = [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "nbf",
            "jti",
            "client_id",
            "scope",
            "auth_time",
            "sid",
            "gen",
            "ver",
        ];
        for name in names {
            let without =
                forge(&key, |_, payload| drop(payload.as_object_mut().expect("claims").remove(name)));
            assert_eq!(flaw(&ring, &without), Some(AccessTokenFlaw::Malformed), "{name}");
            let odd = forge(&key, |_, payload| payload[name] = json!({ "odd": true }));
            assert_eq!(flaw(&ring, &odd), Some(AccessTokenFlaw::Malformed), "{name}");
        }
    }

    #[test]
    fn issuer_audience_and_type_are_told_apart_in_this_order() {
        let key = key(Algorithm::Es256);
        let ring = KeyRing::new(vec![key.clone()]);
        let everything = forge(&key, |header, payload| {
            header["typ"] = json!("JWT");
            payload["iss"] = json!("https://other.example");
            payload["aud"] = json!(["a", "b"]);
        });
        assert!(
            matches!(flaw(&ring, &everything), Some(AccessTokenFlaw::IssuerMismatch { found, .. }) if found == "https://other.example")
        );
        let audience = forge(&key, |header, payload| {
            header["typ"] = json!("JWT");
            payload["aud"] = json!(["a", "b"]);
        });
        assert!(
            matches!(flaw(&ring, &audience), Some(AccessTokenFlaw::AudienceMismatch { found, .. }) if found == ["a", "b"])
        );
        let kind = forge(&key, |header, _| header["typ"] = json!("JWT"));
        assert!(
            matches!(flaw(&ring, &kind), Some(AccessTokenFlaw::TypeMismatch { found, .. }) if found == "JWT")
        );
        for good in ["AT+JWT", "application/at+jwt"] {
            assert_eq!(flaw(&ring, &forge(&key, |header, _| header["typ"] = json!(good))), None);
        }
        let several = forge(&key, |_, payload| payload["aud"] = json!(["a", "https://id.example"]));
        assert_eq!(flaw(&ring, &several), None);
    }

    #[test]
    fn the_key_says_by_which_algorithm_and_no_extension_is_understood() {
        let (one, other) = (key(Algorithm::Es256), key(Algorithm::EdDsa));
        let ring = KeyRing::new(vec![one.clone(), other.clone()]);
        for alg in ["none", "None", "HS256", "RS256", "EdDSA", ""] {
            let token = forge(&one, |header, _| header["alg"] = json!(alg));
            assert_eq!(flaw(&ring, &token), Some(AccessTokenFlaw::SignatureInvalid), "{alg}");
        }
        let swapped = forge(&one, |header, _| header["kid"] = json!(other.kid()));
        assert_eq!(flaw(&ring, &swapped), Some(AccessTokenFlaw::SignatureInvalid));
        for kid in [json!("unknown"), json!(""), Value::Null] {
            let token = forge(&one, |header, _| header["kid"] = kid.clone());
            assert!(flaw(&ring, &token).is_some(), "{kid}");
        }
        let critical = forge(&one, |header, _| header["crit"] = json!(["exp"]));
        assert_eq!(flaw(&ring, &critical), Some(AccessTokenFlaw::Malformed));
        // HMAC with the public key as the secret is the classic algorithm confusion.
        let public = serde_json::to_string(&ring.jwks_at(at(NOW))).expect("a set");
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        header.kid = Some(one.kid().to_owned());
        let secret = jsonwebtoken::EncodingKey::from_secret(public.as_bytes());
        let confused = jsonwebtoken::encode(&header, &wire(&issuer(), &claims()), &secret).expect("a token");
        assert_eq!(flaw(&ring, &confused), Some(AccessTokenFlaw::SignatureInvalid));
    }

    #[test]
    fn what_is_too_long_or_no_base64_is_malformed_whoever_signed_it() {
        const LONGEST: usize = 8_192;
        let key = key(Algorithm::Es256);
        let ring = KeyRing::new(vec![key.clone()]);
        let sized = |letters: usize| forge(&key, |_, payload| payload["scope"] = json!("a".repeat(letters)));
        let about = (LONGEST - sized(0).len()) / 4 * 3;
        let (mut short, mut long) = (0, 0);
        for letters in about - 6..about + 6 {
            let token = sized(letters);
            let fits = token.len() <= LONGEST;
            assert_eq!(flaw(&ring, &token), (!fits).then_some(AccessTokenFlaw::Malformed), "{}", token.len());
            *if fits { &mut short } else { &mut long } += 1;
        }
        assert!(short > 0 && long > 0);
        let good = forge(&key, |_, _| {});
        let (message, _) = good.rsplit_once('.').expect("a signature");
        assert_eq!(flaw(&ring, &format!("{message}.!")), Some(AccessTokenFlaw::Malformed));
    }

    #[test]
    fn an_altered_token_learns_nothing_of_its_times() {
        let key = key(Algorithm::Es256);
        let ring = KeyRing::new(vec![key.clone()]);
        let token = forge(&key, |_, payload| payload["exp"] = json!(NOW - 1));
        for at in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII");
            let found = flaw(&ring, &altered);
            let says_nothing = matches!(
                found,
                Some(
                    AccessTokenFlaw::Malformed
                        | AccessTokenFlaw::KeyUnknown
                        | AccessTokenFlaw::SignatureInvalid
                )
            );
            assert!(says_nothing, "character {at}: {found:?}");
        }
    }

    #[test]
    fn what_outlives_its_retired_key_is_not_believed_remembered_or_not() {
        let with = |private: &[u8], retires_at| {
            let private = PrivateKey::new(Algorithm::Es256, private.to_vec()).expect("a key");
            let times = Times { signs_from: at(0), retires_at, revoked_at: None, longest_ttl: LONGEST_TTL };
            KeyRing::new(vec![SigningKey::new(private, times).expect("a working key")])
        };
        let private = PrivateKey::generate(Algorithm::Es256).expect("a key").pkcs8;
        let before = with(&private, None);
        let (token, _) = issue(&before, &issuer(), &claims(), Reader::Standard, at(NOW)).expect("a token");
        let remembered = verify_signature(&before, &issuer(), &token).expect("ours");
        for (retires_at, flaw) in
            [(remembered.claims.exp, None), (remembered.claims.exp - TimeDelta::seconds(1), Some(()))]
        {
            let after = with(&private, Some(retires_at));
            let flaw = flaw.map(|()| AccessTokenFlaw::KeyRetired { retires_at });
            assert_eq!(verify_signature(&after, &issuer(), &token).err(), flaw);
            assert_eq!(remembered.check_key(&after).err(), flaw);
        }
    }

    #[test]
    fn what_a_revoked_key_signed_is_not_believed() {
        let private = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let revoked_at = Some(at(NOW));
        let times = Times { signs_from: at(0), retires_at: None, revoked_at, longest_ttl: LONGEST_TTL };
        let key = SigningKey::new(private, times).expect("a working key");
        let ring = KeyRing::new(vec![key.clone()]);
        let found = flaw(&ring, &forge(&key, |_, _| {}));
        assert_eq!(found, Some(AccessTokenFlaw::KeyRevoked { revoked_at: at(NOW) }));
        assert!(issue(&ring, &issuer(), &claims(), Reader::Standard, at(NOW)).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_refused_without_a_panic(text in ".{0,300}", parts in "[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}") {
            let ring = KeyRing::default();
            prop_assert!(flaw(&ring, &text).is_some());
            prop_assert!(flaw(&ring, &parts).is_some());
        }
    }
}
