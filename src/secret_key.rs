//! The secret keys of the server: they seal stored data, derive refresh tokens and sign cursors. The first
//! key in the list seals and signs; all of them open and verify.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::random;

/// The use of a derived key. No two uses share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The HMAC of refresh tokens.
    RefreshToken,
    /// The HMAC of cursors in lists.
    Cursor,
    /// The HMAC of a browser's CSRF tokens.
    Csrf,
    /// The HMAC of backups.
    Backup,
}

/// The bytes of an HMAC-SHA-256.
pub const MAC_LEN: usize = 32;
/// The format of sealed data, in its first byte.
const SEALED_V1: u8 = 1;
/// The bytes that identify the key which sealed the data.
const FINGERPRINT_LEN: usize = 8;
/// The content of the check value.
const CHECK_TEXT: &[u8] = b"doorward";

/// The secret keys, never empty. Cloning them is cheap enough for a start, but not for each request.
#[derive(Clone)]
pub struct SecretKeys {
    first: SecretKey,
    others: Vec<SecretKey>,
}

#[derive(Clone)]
struct SecretKey {
    refresh_token: hmac::Key,
    cursor: hmac::Key,
    csrf: hmac::Key,
    backup: hmac::Key,
    seal: [u8; 32],
    fingerprint: [u8; FINGERPRINT_LEN],
}

/// The error for sealed data that does not open: it was sealed with another key, or altered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("it was encrypted with another secret key, or altered")]
pub struct Unsealable;

/// The error of a cipher that failed to seal. Nothing is stored in place of the sealed data.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("encryption failed in the cryptographic library")]
pub struct SealError;

/// The reason why no keys could be derived.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeriveError {
    /// The list is empty.
    #[error("no secret key is set: set DOORWARD_SECRET_KEY or DOORWARD_SECRET_KEY_FILE")]
    NoKey,
    /// HKDF failed.
    #[error("no keys could be derived from the secret key: the cryptographic library failed")]
    Failed,
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretKeys({})", 1 + self.others.len())
    }
}

impl SecretKeys {
    /// Derives the keys from configured strings. The strings need enough randomness; config/ checks their
    /// length. HKDF (RFC 5869) derives a separate key for each purpose.
    pub fn derive<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, DeriveError> {
        let mut keys = texts.into_iter().map(SecretKey::derive);
        let first = keys.next().ok_or(DeriveError::NoKey)??;
        Ok(Self { first, others: keys.collect::<Result<_, _>>()? })
    }

    /// Returns the text of a new key: 32 random bytes in base64url.
    #[must_use]
    pub fn generate() -> String {
        URL_SAFE_NO_PAD.encode(random::bytes::<32>())
    }

    fn all(&self) -> impl Iterator<Item = &SecretKey> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Returns the HMAC-SHA-256 of the parts with the first key. At most one part may vary in length, so that
    /// different parts never yield the same input.
    #[must_use]
    pub fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; MAC_LEN] {
        self.first.mac(purpose, parts)
    }

    /// Returns true if `mac` is valid for any of the keys. It may be cut to 16 bytes or more. The comparison
    /// takes constant time.
    #[must_use]
    pub fn verify_mac(&self, purpose: Purpose, parts: &[&[u8]], mac: &[u8]) -> bool {
        (16..=MAC_LEN).contains(&mac.len())
            && self.all().any(|key| {
                let own = key.mac(purpose, parts);
                aws_lc_rs::constant_time::verify_slices_are_equal(&own[..mac.len()], mac).is_ok()
            })
    }

    /// Seals `plain` with AES-256-GCM and the first key. Data sealed for one `name` does not open for
    /// another.
    pub fn seal(&self, name: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = random::bytes();
        let mut sealed = vec![SEALED_V1];
        sealed.extend_from_slice(&self.first.fingerprint);
        sealed.extend_from_slice(&nonce);
        let mut text = plain.to_vec();
        let key = self.first.aead().ok_or(SealError)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(name.as_bytes()), &mut text).map_err(|_| SealError)?;
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    /// Opens data that any of the keys has sealed for this name.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let (fingerprint, rest) = split(sealed).ok_or(Unsealable)?;
        let key = self.all().find(|key| key.fingerprint == fingerprint).ok_or(Unsealable)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(Unsealable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unsealable)?;
        let mut text = text.to_vec();
        let aead = key.aead().ok_or(Unsealable)?;
        let plain =
            aead.open_in_place(nonce, Aad::from(name.as_bytes()), &mut text).map_err(|_| Unsealable)?;
        Ok(plain.to_vec())
    }

    /// Returns true if the first key sealed the data.
    #[must_use]
    pub fn is_sealed_by_first(&self, sealed: &[u8]) -> bool {
        split(sealed).is_some_and(|(fingerprint, _)| fingerprint == self.first.fingerprint)
    }

    /// Returns a value to store. It detects a later start with the wrong keys.
    pub fn check_value(&self) -> Result<Vec<u8>, SealError> {
        self.seal("check value", CHECK_TEXT)
    }

    /// Returns true if one of the keys opens the stored check value.
    #[must_use]
    pub fn opens(&self, check_value: &[u8]) -> bool {
        self.open("check value", check_value).is_ok_and(|text| text == CHECK_TEXT)
    }
}

fn split(sealed: &[u8]) -> Option<(&[u8], &[u8])> {
    sealed.strip_prefix(&[SEALED_V1])?.split_at_checked(FINGERPRINT_LEN)
}

impl SecretKey {
    fn derive(text: &str) -> Result<Self, DeriveError> {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"doorward secret key v1").extract(text.as_bytes());
        let derived = |purpose: &str| {
            let mut key = [0; 32];
            let info = [purpose.as_bytes()];
            let filled = secret.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut key));
            filled.map(|()| key).map_err(|_| DeriveError::Failed)
        };
        let hmac_key = |purpose: &str| derived(purpose).map(|key| hmac::Key::new(hmac::HMAC_SHA256, &key));
        let mut fingerprint = [0; FINGERPRINT_LEN];
        fingerprint.copy_from_slice(&derived("fingerprint")?[..FINGERPRINT_LEN]);
        Ok(Self {
            refresh_token: hmac_key("refresh token")?,
            cursor: hmac_key("cursor")?,
            csrf: hmac_key("csrf")?,
            backup: hmac_key("backup")?,
            seal: derived("seal")?,
            fingerprint,
        })
    }

    fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; MAC_LEN] {
        let key = match purpose {
            Purpose::RefreshToken => &self.refresh_token,
            Purpose::Cursor => &self.cursor,
            Purpose::Csrf => &self.csrf,
            Purpose::Backup => &self.backup,
        };
        let mut context = hmac::Context::with_key(key);
        parts.iter().for_each(|part| context.update(part));
        let mut mac = [0; MAC_LEN];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    fn aead(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &self.seal).ok().map(LessSafeKey::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an old key of thirty-two characters";
    const NEW: &str = "a new key of thirty-two characters!";

    fn keys(texts: &[&str]) -> SecretKeys {
        SecretKeys::derive(texts.iter().copied()).expect("at least one")
    }

    #[test]
    fn first_key_encrypts_and_every_key_decrypts() {
        let sealed = keys(&[OLD]).seal("key one", b"private").unwrap();
        let both = keys(&[NEW, OLD]);
        assert_eq!(both.open("key one", &sealed).as_deref(), Ok(&b"private"[..]));
        assert!(!both.is_sealed_by_first(&sealed));
        assert!(both.is_sealed_by_first(&both.seal("key one", b"private").unwrap()));
        assert_eq!(keys(&[NEW]).open("key one", &sealed), Err(Unsealable));
        assert_eq!(both.open("key two", &sealed), Err(Unsealable), "it is bound to its name");
    }

    #[test]
    fn altered_or_truncated_value_is_not_decrypted() {
        let keys = keys(&[OLD]);
        let sealed = keys.seal("name", b"private").unwrap();
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(keys.open("name", &altered), Err(Unsealable), "byte {at}");
            assert_eq!(keys.open("name", &sealed[..at]), Err(Unsealable), "cut at {at}");
        }
    }

    #[test]
    fn mac_is_bound_to_its_purpose_and_parts_under_any_key() {
        let mac = keys(&[OLD]).mac(Purpose::Cursor, &[b"list", b"id"]);
        let both = keys(&[NEW, OLD]);
        assert!(both.verify_mac(Purpose::Cursor, &[b"list", b"id"], &mac));
        assert!(both.verify_mac(Purpose::Cursor, &[b"list", b"id"], &mac[..16]));
        assert!(!both.verify_mac(Purpose::Cursor, &[b"list", b"id"], &mac[..15]));
        assert!(!both.verify_mac(Purpose::Cursor, &[b"list", b"id"], &[]));
        assert!(!both.verify_mac(Purpose::RefreshToken, &[b"list", b"id"], &mac));
        assert!(!keys(&[NEW]).verify_mac(Purpose::Cursor, &[b"list", b"id"], &mac));
    }

    #[test]
    fn wrong_key_is_detected_by_the_check_value() {
        let stored = keys(&[OLD]).check_value().unwrap();
        assert!(keys(&[NEW, OLD]).opens(&stored));
        assert!(!keys(&[NEW]).opens(&stored));
    }

    #[test]
    fn empty_key_list_is_an_error() {
        assert!(matches!(SecretKeys::derive([]), Err(DeriveError::NoKey)));
    }

    #[test]
    fn keys_are_never_printed() {
        let shown = format!("{:?}", keys(&[OLD, NEW]));
        assert_eq!(shown, "SecretKeys(2)");
        assert_ne!(SecretKeys::generate(), SecretKeys::generate());
    }
}
