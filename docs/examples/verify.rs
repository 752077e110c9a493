use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};

/// Returns the claims. Fetch `keys` from `/.well-known/jwks.json` every 5 minutes.
pub fn verify(token: &str, keys: &JwkSet) -> Result<serde_json::Value, Error> {
    let kid = decode_header(token)?.kid.ok_or(ErrorKind::InvalidToken)?;
    let key = keys.find(&kid).ok_or(ErrorKind::InvalidToken)?;
    let algorithm = key.common.key_algorithm.ok_or(ErrorKind::InvalidAlgorithm)?;
    let mut expected = Validation::new(algorithm.try_into()?);
    expected.set_issuer(&["http://127.0.0.1:8080"]);
    expected.set_audience(&["https://api.example.org"]);
    expected.set_required_spec_claims(&["exp", "iss", "aud"]);
    expected.leeway = 5; // seconds, for clocks that differ
    let good = decode(token, &DecodingKey::from_jwk(key)?, &expected)?;
    good.header.typ.filter(|typ| typ == "at+jwt").ok_or(ErrorKind::InvalidToken)?;
    Ok(good.claims)
}
