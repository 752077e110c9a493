//! Encodes and parses refresh tokens. A token contains the session's ID, the session's random bytes, a
//! generation, and an HMAC of these.
//!
//! The database stores nothing that could be presented as a token. Issuing the same generation again yields
//! the same token.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::digest::Digest;
use crate::secret_key::{MAC_LEN, Purpose, SecretKeys};

/// Every refresh token starts with this prefix.
pub const PREFIX: &str = "dwr_";
/// The number of bytes that the HMAC covers: the session's ID, the secret and the generation.
const SIGNED_LEN: usize = 16 + 16 + 4;

/// A refresh token in plain text. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct PlainRefreshToken(String);

impl PlainRefreshToken {
    /// Returns the text, for the response.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PlainRefreshToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("dwr_…")
    }
}

/// A parsed refresh token whose HMAC is valid.
#[derive(Clone)]
pub struct RefreshToken {
    /// The ID of the session, and of the refresh token's row.
    pub session_id: Uuid,
    /// The session's random bytes. They do not change with the generation.
    pub secret: [u8; 16],
    /// The position in the session's chain of refresh tokens, from 1.
    pub generation: i32,
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RefreshToken({}, generation {})", self.session_id, self.generation)
    }
}

/// The reason why a string is not a refresh token of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshTokenError {
    /// The string does not have the format of a refresh token.
    Malformed,
    /// The string has the format of a refresh token, but its HMAC is invalid.
    Forged,
}

/// Issues the token of a generation.
#[must_use]
pub fn issue(keys: &SecretKeys, session_id: Uuid, secret: [u8; 16], generation: i32) -> PlainRefreshToken {
    let mut bytes = Vec::with_capacity(SIGNED_LEN + MAC_LEN);
    bytes.extend_from_slice(session_id.as_bytes());
    bytes.extend_from_slice(&secret);
    bytes.extend_from_slice(&generation.to_be_bytes());
    let mac = keys.mac(Purpose::RefreshToken, &[&bytes]);
    bytes.extend_from_slice(&mac);
    PlainRefreshToken(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// Parses a token and verifies its HMAC, before any query of the database.
pub fn parse(keys: &SecretKeys, text: &str) -> Result<RefreshToken, RefreshTokenError> {
    let encoded = text.strip_prefix(PREFIX).ok_or(RefreshTokenError::Malformed)?;
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| RefreshTokenError::Malformed)?;
    let bytes: [u8; SIGNED_LEN + MAC_LEN] = bytes.try_into().map_err(|_| RefreshTokenError::Malformed)?;
    let (signed, mac) = bytes.split_at(SIGNED_LEN);
    if !keys.verify_mac(Purpose::RefreshToken, &[signed], mac) {
        return Err(RefreshTokenError::Forged);
    }
    let (id, rest) = signed.split_at(16);
    let (secret, generation) = rest.split_at(16);
    Ok(RefreshToken {
        session_id: Uuid::from_slice(id).map_err(|_| RefreshTokenError::Malformed)?,
        secret: secret.try_into().map_err(|_| RefreshTokenError::Malformed)?,
        generation: i32::from_be_bytes(generation.try_into().map_err(|_| RefreshTokenError::Malformed)?),
    })
}

/// Returns the SHA-256 of the random bytes, as the database stores it.
#[must_use]
pub fn digest(secret: &[u8; 16]) -> Digest {
    Digest::of(secret)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> SecretKeys {
        SecretKeys::derive(["a key of at least thirty-two characters"]).expect("one")
    }

    proptest! {
        #[test]
        fn issued_token_is_parsed_and_reissued_identically(id: u128, secret: [u8; 16], generation in 1..i32::MAX) {
            let (keys, id) = (keys(), Uuid::from_u128(id));
            let token = issue(&keys, id, secret, generation);
            prop_assert_eq!(&token, &issue(&keys, id, secret, generation));
            let read = parse(&keys, token.expose()).expect("ours");
            prop_assert_eq!((read.session_id, read.secret, read.generation), (id, secret, generation));
        }

        #[test]
        fn malformed_text_is_refused_without_a_panic(text in ".{0,200}") {
            prop_assert!(parse(&keys(), &text).is_err());
            let prefixed = parse(&keys(), &format!("{PREFIX}{text}"));
            prop_assert!(prefixed.is_err());
        }
    }

    #[test]
    fn each_altered_character_is_refused() {
        let keys = keys();
        let token = issue(&keys, Uuid::nil(), [7; 16], 3);
        for at in PREFIX.len()..token.expose().len() {
            let mut altered = token.expose().to_owned().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII");
            assert!(parse(&keys, &altered).is_err(), "character {at}");
        }
        assert_eq!(parse(&keys, &format!("{}=", token.expose())).err(), Some(RefreshTokenError::Malformed));
        assert_eq!(parse(&keys, &token.expose()[..80]).err(), Some(RefreshTokenError::Malformed));
    }

    #[test]
    fn stored_digest_is_sha_256_of_the_bytes() {
        let digest: String = digest(&[7; 16]).as_slice().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, "d761d406af2a4a5a15f67c924378ed88d1f85c13f1a37fc7366f59789b3bcd65");
    }

    #[test]
    fn token_of_another_server_is_forged() {
        let other = SecretKeys::derive(["another key of at least thirty-two characters"]).expect("one");
        let token = issue(&other, Uuid::nil(), [7; 16], 3);
        assert_eq!(parse(&keys(), token.expose()).err(), Some(RefreshTokenError::Forged));
    }

    #[test]
    fn secret_of_a_refresh_token_is_never_printed() {
        let issued = issue(&keys(), Uuid::nil(), *b"sixteen secrets!", 3);
        assert_eq!(format!("{issued:?}"), "dwr_…");
        let read = parse(&keys(), issued.expose()).expect("ours");
        assert_eq!(format!("{read:?}"), format!("RefreshToken({}, generation 3)", Uuid::nil()));
    }
}
