//! Tests of issuing and verifying access tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::claims::{Claims, Issuer, TokenDialect, wire};
use super::issue::issue;
use super::verify::{AccessTokenError, Signed, verify_signature};
use crate::tokens::key_times::Times;
use crate::tokens::private_key::{Algorithm, PrivateKey};
use crate::tokens::signing_key::{ACCESS_TOKEN_TYPE, KeyRing, SigningKey};

const NOW: i64 = 1_800_000_000;
const LONGEST_TTL: TimeDelta = TimeDelta::minutes(5);

fn verify(
    ring: &KeyRing,
    issuer: &Issuer,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Signed, AccessTokenError> {
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
    let mut header = json!({ "alg": key.algorithm().as_str(), "typ": ACCESS_TOKEN_TYPE, "kid": key.kid() });
    let mut payload = serde_json::to_value(wire(&issuer(), &claims())).expect("claims");
    change(&mut header, &mut payload);
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&payload));
    let algorithm = key.algorithm().for_jwt();
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), key.encoding_key(), algorithm).expect("a signature");
    format!("{message}.{signature}")
}

fn token_error(ring: &KeyRing, token: &str) -> Option<AccessTokenError> {
    verify(ring, &issuer(), token, at(NOW)).err()
}

#[test]
fn issued_token_is_valid_until_its_last_second() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let ring = KeyRing::new(vec![key(algorithm)]);
        let (token, _) =
            issue(&ring, &issuer(), &claims(), TokenDialect::Standard, at(NOW)).expect("a token");
        let verified = verify(&ring, &issuer(), &token, at(NOW + 299)).expect("good");
        assert_eq!(verified.claims, claims());
        let expired = verify(&ring, &issuer(), &token, at(NOW + 300)).err();
        let claims = Box::new(claims());
        assert_eq!(expired, Some(AccessTokenError::Expired { expired_at: at(NOW + 300), claims }));
    }
}

#[test]
fn clock_ahead_is_tolerated_for_five_seconds() {
    let key = key(Algorithm::Es256);
    let ring = KeyRing::new(vec![key.clone()]);
    for name in ["nbf", "iat"] {
        let ahead = |seconds: i64| forge(&key, |_, payload| payload[name] = json!(NOW + seconds));
        assert_eq!(token_error(&ring, &ahead(5)), None);
        assert!(
            matches!(token_error(&ring, &ahead(6)), Some(AccessTokenError::NotYetValid { valid_from, .. }) if valid_from == at(NOW + 6))
        );
    }
}

#[test]
fn every_claim_is_required_with_its_type() {
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
        let without = forge(&key, |_, payload| drop(payload.as_object_mut().expect("claims").remove(name)));
        assert_eq!(token_error(&ring, &without), Some(AccessTokenError::Malformed), "{name}");
        let odd = forge(&key, |_, payload| payload[name] = json!({ "odd": true }));
        assert_eq!(token_error(&ring, &odd), Some(AccessTokenError::Malformed), "{name}");
    }
}

#[test]
fn issuer_audience_and_type_are_checked_in_this_order() {
    let key = key(Algorithm::Es256);
    let ring = KeyRing::new(vec![key.clone()]);
    let everything = forge(&key, |header, payload| {
        header["typ"] = json!("JWT");
        payload["iss"] = json!("https://other.example");
        payload["aud"] = json!(["a", "b"]);
    });
    assert!(
        matches!(token_error(&ring, &everything), Some(AccessTokenError::IssuerMismatch { found, .. }) if found == "https://other.example")
    );
    let audience = forge(&key, |header, payload| {
        header["typ"] = json!("JWT");
        payload["aud"] = json!(["a", "b"]);
    });
    assert!(
        matches!(token_error(&ring, &audience), Some(AccessTokenError::AudienceMismatch { found, .. }) if found == ["a", "b"])
    );
    let kind = forge(&key, |header, _| header["typ"] = json!("JWT"));
    assert!(
        matches!(token_error(&ring, &kind), Some(AccessTokenError::TypeMismatch { found, .. }) if found == "JWT")
    );
    for good in ["AT+JWT", "application/at+jwt"] {
        assert_eq!(token_error(&ring, &forge(&key, |header, _| header["typ"] = json!(good))), None);
    }
    let several = forge(&key, |_, payload| payload["aud"] = json!(["a", "https://id.example"]));
    assert_eq!(token_error(&ring, &several), None);
}

#[test]
fn key_determines_the_algorithm_and_extensions_are_refused() {
    let (one, other) = (key(Algorithm::Es256), key(Algorithm::EdDsa));
    let ring = KeyRing::new(vec![one.clone(), other.clone()]);
    for alg in ["none", "None", "HS256", "RS256", "EdDSA", ""] {
        let token = forge(&one, |header, _| header["alg"] = json!(alg));
        assert_eq!(token_error(&ring, &token), Some(AccessTokenError::SignatureInvalid), "{alg}");
    }
    let swapped = forge(&one, |header, _| header["kid"] = json!(other.kid()));
    assert_eq!(token_error(&ring, &swapped), Some(AccessTokenError::SignatureInvalid));
    for kid in [json!("unknown"), json!(""), Value::Null] {
        let token = forge(&one, |header, _| header["kid"] = kid.clone());
        assert!(token_error(&ring, &token).is_some(), "{kid}");
    }
    let critical = forge(&one, |header, _| header["crit"] = json!(["exp"]));
    assert_eq!(token_error(&ring, &critical), Some(AccessTokenError::Malformed));
    // HMAC with the public key as the secret is the classic algorithm confusion.
    let public = serde_json::to_string(&ring.jwks_at(at(NOW))).expect("a set");
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    header.kid = Some(one.kid().to_owned());
    let secret = jsonwebtoken::EncodingKey::from_secret(public.as_bytes());
    let confused = jsonwebtoken::encode(&header, &wire(&issuer(), &claims()), &secret).expect("a token");
    assert_eq!(token_error(&ring, &confused), Some(AccessTokenError::SignatureInvalid));
}

#[test]
fn overlong_or_non_base64_token_is_malformed() {
    const LONGEST: usize = 8_192;
    let key = key(Algorithm::Es256);
    let ring = KeyRing::new(vec![key.clone()]);
    let sized = |letters: usize| forge(&key, |_, payload| payload["scope"] = json!("a".repeat(letters)));
    let about = (LONGEST - sized(0).len()) / 4 * 3;
    let (mut short, mut long) = (0, 0);
    for letters in about - 6..about + 6 {
        let token = sized(letters);
        let fits = token.len() <= LONGEST;
        assert_eq!(
            token_error(&ring, &token),
            (!fits).then_some(AccessTokenError::Malformed),
            "{}",
            token.len()
        );
        *if fits { &mut short } else { &mut long } += 1;
    }
    assert!(short > 0 && long > 0);
    let good = forge(&key, |_, _| {});
    let (message, _) = good.rsplit_once('.').expect("a signature");
    assert_eq!(token_error(&ring, &format!("{message}.!")), Some(AccessTokenError::Malformed));
}

#[test]
fn altered_token_reveals_nothing_about_its_times() {
    let key = key(Algorithm::Es256);
    let ring = KeyRing::new(vec![key.clone()]);
    let token = forge(&key, |_, payload| payload["exp"] = json!(NOW - 1));
    for at in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).expect("ASCII");
        let found = token_error(&ring, &altered);
        let says_nothing = matches!(
            found,
            Some(
                AccessTokenError::Malformed
                    | AccessTokenError::KeyUnknown
                    | AccessTokenError::SignatureInvalid
            )
        );
        assert!(says_nothing, "character {at}: {found:?}");
    }
}

#[test]
fn token_outliving_its_retired_key_is_refused_even_if_cached() {
    let with = |private: &[u8], retires_at| {
        let private = PrivateKey::new(Algorithm::Es256, private.to_vec()).expect("a key");
        let times = Times { signs_from: at(0), retires_at, revoked_at: None, longest_ttl: LONGEST_TTL };
        KeyRing::new(vec![SigningKey::new(private, times).expect("a working key")])
    };
    let private = PrivateKey::generate(Algorithm::Es256).expect("a key").pkcs8;
    let before = with(&private, None);
    let (token, _) = issue(&before, &issuer(), &claims(), TokenDialect::Standard, at(NOW)).expect("a token");
    let remembered = verify_signature(&before, &issuer(), &token).expect("ours");
    for (retires_at, error) in
        [(remembered.claims.exp, None), (remembered.claims.exp - TimeDelta::seconds(1), Some(()))]
    {
        let after = with(&private, Some(retires_at));
        let error = error.map(|()| AccessTokenError::KeyRetired { retires_at });
        assert_eq!(verify_signature(&after, &issuer(), &token).err(), error);
        assert_eq!(remembered.check_key(&after).err(), error);
    }
}

#[test]
fn token_of_a_revoked_key_is_refused() {
    let private = PrivateKey::generate(Algorithm::Es256).expect("a key");
    let revoked_at = Some(at(NOW));
    let times = Times { signs_from: at(0), retires_at: None, revoked_at, longest_ttl: LONGEST_TTL };
    let key = SigningKey::new(private, times).expect("a working key");
    let ring = KeyRing::new(vec![key.clone()]);
    let found = token_error(&ring, &forge(&key, |_, _| {}));
    assert_eq!(found, Some(AccessTokenError::KeyRevoked { revoked_at: at(NOW) }));
    assert!(issue(&ring, &issuer(), &claims(), TokenDialect::Standard, at(NOW)).is_err());
}

proptest! {
    #[test]
    fn malformed_text_is_refused_without_a_panic(text in ".{0,300}", parts in "[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}") {
        let ring = KeyRing::default();
        prop_assert!(token_error(&ring, &text).is_some());
        prop_assert!(token_error(&ring, &parts).is_some());
    }
}
