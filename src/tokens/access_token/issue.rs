//! Signs access tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use super::claims::{Claims, Issuer, TokenDialect, WireClaims, wire};
use crate::tokens::signing_key::{KeyRing, SigningKey};

/// The reason why no token could be signed.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No key may sign at this time.
    #[error("no key can sign")]
    NoKey,
    /// The claims could not be encoded as JSON.
    #[error("{0}")]
    Encoding(#[from] serde_json::Error),
    /// The library failed.
    #[error("the key cannot sign")]
    Signing,
}

/// Signs an access token with the key that signs at `now`. Returns it with the time at which it expires,
/// which may be before the `exp` of `claims`, because a token must not outlive its key.
pub fn issue(
    ring: &KeyRing,
    issuer: &Issuer,
    claims: &Claims,
    dialect: TokenDialect,
    now: DateTime<Utc>,
) -> Result<(String, DateTime<Utc>), IssueError> {
    let key = ring.signing_at(now).ok_or(IssueError::NoKey)?;
    let expires_at = claims.exp.min(key.times().latest_expiry(now));
    let mut wire = wire(issuer, claims);
    wire.exp = expires_at.timestamp();
    if dialect == TokenDialect::Simplejwt {
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
