//! Checks new passwords against the policy, and hashes and verifies passwords with bcrypt. A failed check
//! takes equally long for every account, and for names without one.
//!
//! bcrypt reads only 72 bytes and stops at a NUL, so it hashes an HMAC of the password. The format is
//! passlib's `bcrypt_sha256`, version 2, which other software can read.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use icu_normalizer::ComposingNormalizerBorrowed;

use super::common_passwords;
use crate::random;

/// The maximum length of a password, in bytes. All bytes are significant.
pub const MAX_BYTES: usize = 1_000;
/// The maximum length of a string that is composed, in bytes.
const COMPOSED_MAX: usize = 4 * MAX_BYTES;
/// bcrypt's own Base64 alphabet.
const ALPHABET: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// The start of a stored hash, before the cost.
const PREFIX: &str = "$bcrypt-sha256$v=2,t=2b,r=";
/// The costs that a stored hash may have. With a higher cost, an imported hash could block a thread for
/// minutes.
const COSTS: std::ops::RangeInclusive<u32> = 4..=16;

/// A password in plain text. `Debug` does not print it.
#[derive(Clone)]
pub struct PlainPassword(String);

impl fmt::Debug for PlainPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PlainPassword")
    }
}

impl PlainPassword {
    /// Wraps a password and composes it (RFC 8265, section 4.2). A string that is too long is not composed.
    /// Composing shortens a string to a third at most, so it cannot be anyone's password.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.len() > COMPOSED_MAX {
            return Self(text.to_owned());
        }
        Self(ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned())
    }

    /// Generates a random password of 125 bits, in five groups of five characters that are easy to read
    /// aloud.
    #[must_use]
    pub fn generate() -> (Self, String) {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let drawn = random::bytes::<25>().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
        let groups: Vec<String> = drawn.chunks(5).map(|group| group.iter().collect()).collect();
        let text = groups.join("-");
        (Self(text.clone()), text)
    }
}

/// The reason why a new password is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The password has fewer characters than this.
    #[error("at least {0} characters are needed")]
    TooShort(usize),
    /// The password has more bytes than [`MAX_BYTES`].
    #[error("at most {MAX_BYTES} bytes are allowed")]
    TooLong,
    /// The password contains U+0000.
    #[error("U+0000 is not allowed in a password")]
    Nul,
    /// The password is one of those that attackers try first.
    #[error("this is one of the first passwords that attackers guess; choose one that nobody else would")]
    Common,
    /// The password is little more than the account's own name.
    #[error("this is little more than the account's own name")]
    LikeTheName,
}

impl PasswordError {
    /// Returns the code in a validation error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooShort(_) => "too_short",
            Self::TooLong => "too_long",
            Self::Nul => "invalid_character",
            Self::Common => "too_common",
            Self::LikeTheName => "like_the_name",
        }
    }
}

/// The requirements for new passwords. Composition rules are not among them.
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    /// The minimum length, in characters.
    pub min_length: usize,
}

impl PasswordPolicy {
    /// Returns every requirement that a new password of an account with these names violates.
    #[must_use]
    pub fn find_errors(&self, plain: &PlainPassword, names: &[&str]) -> Vec<PasswordError> {
        let text = &plain.0;
        if text.is_empty() {
            return vec![PasswordError::TooShort(self.min_length)];
        }
        let mut errors = Vec::new();
        if text.chars().count() < self.min_length {
            errors.push(PasswordError::TooShort(self.min_length));
        }
        if text.len() > MAX_BYTES {
            // The checks below take longer for longer passwords.
            errors.push(PasswordError::TooLong);
            return errors;
        }
        if text.contains('\0') {
            errors.push(PasswordError::Nul);
        }
        if common_passwords::is_common(text) {
            errors.push(PasswordError::Common);
        } else if common_passwords::is_like(text, names) {
            errors.push(PasswordError::LikeTheName);
        }
        errors
    }
}

/// Error: a stored hash has an unknown format, or a cost that is not allowed. This is a server error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored password hash has an unknown format")]
pub struct InvalidHash;

/// The hash of a password. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    form: Form,
    text: String,
}

#[derive(Clone, PartialEq, Eq)]
enum Form {
    /// bcrypt of the HMAC, as doorward creates it.
    Sha256 { cost: u32, salt: String, checksum: String },
    /// Plain bcrypt of the password, from an import.
    Plain { cost: u32 },
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordHash")
    }
}

impl PasswordHash {
    /// Hashes a password with a random salt. It takes 2^`cost` rounds.
    ///
    /// # Errors
    /// [`InvalidHash`] if bcrypt rejects the cost. An account must not get a hash that no password matches.
    pub fn new(plain: &PlainPassword, cost: u32) -> Result<Self, InvalidHash> {
        let salt: [u8; 16] = random::bytes();
        let salt_text = encode_salt(salt);
        let checksum = digest(plain, cost, salt, &salt_text).ok_or(InvalidHash)?;
        let text = format!("{PREFIX}{cost}${salt_text}${checksum}");
        Ok(Self { form: Form::Sha256 { cost, salt: salt_text, checksum }, text })
    }

    /// Parses a hash from the database.
    pub fn parse(text: &str) -> Result<Self, InvalidHash> {
        let form = match text.strip_prefix(PREFIX) {
            Some(rest) => Self::parse_sha256(rest)?,
            None => Self::parse_plain(text)?,
        };
        Ok(Self { form, text: text.to_owned() })
    }

    fn parse_sha256(rest: &str) -> Result<Form, InvalidHash> {
        let mut parts = rest.split('$');
        let (Some(cost), Some(salt), Some(checksum), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidHash);
        };
        let cost: u32 = cost.parse().map_err(|_| InvalidHash)?;
        let is_good = COSTS.contains(&cost) && decode_salt(salt).is_some() && checksum.len() == 31;
        if !is_good {
            return Err(InvalidHash);
        }
        Ok(Form::Sha256 { cost, salt: salt.to_owned(), checksum: checksum.to_owned() })
    }

    fn parse_plain(text: &str) -> Result<Form, InvalidHash> {
        let rest = ["$2a$", "$2b$", "$2y$"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .ok_or(InvalidHash)?;
        let (cost, rest) = rest.split_once('$').ok_or(InvalidHash)?;
        let cost: u32 = cost.parse().map_err(|_| InvalidHash)?;
        let is_good =
            COSTS.contains(&cost) && rest.len() == 53 && rest.bytes().all(|byte| ALPHABET.contains(&byte));
        if is_good { Ok(Form::Plain { cost }) } else { Err(InvalidHash) }
    }

    /// Returns the text for the database.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns the cost, as the binary logarithm of the number of rounds.
    #[must_use]
    pub fn cost(&self) -> u32 {
        match &self.form {
            Form::Sha256 { cost, .. } | Form::Plain { cost } => *cost,
        }
    }

    /// Returns whether the password should be hashed again with `cost`.
    #[must_use]
    pub fn needs_upgrade(&self, cost: u32) -> bool {
        matches!(self.form, Form::Plain { .. }) || self.cost() != cost
    }

    #[allow(clippy::disallowed_methods)] // the one place
    fn verify(&self, plain: &PlainPassword) -> Result<bool, InvalidHash> {
        match &self.form {
            Form::Sha256 { cost, salt, checksum } => {
                let own =
                    digest(plain, *cost, decode_salt(salt).ok_or(InvalidHash)?, salt).ok_or(InvalidHash)?;
                Ok(aws_lc_rs::constant_time::verify_slices_are_equal(own.as_bytes(), checksum.as_bytes())
                    .is_ok())
            }
            // bcrypt ignores everything after the first 72 bytes or after a NUL, so such passwords are
            // refused here.
            Form::Plain { .. } => {
                let fits = plain.0.len() <= 72 && !plain.0.contains('\0');
                let matches = bcrypt::verify(&plain.0, &self.text).map_err(|_| InvalidHash)?;
                Ok(matches && fits)
            }
        }
    }
}

/// Returns the last 31 characters of bcrypt over the password's HMAC, which is keyed with the salt.
fn digest(plain: &PlainPassword, cost: u32, salt: [u8; 16], salt_text: &str) -> Option<String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt_text.as_bytes());
    let mac = STANDARD.encode(hmac::sign(&key, plain.0.as_bytes()));
    let parts = bcrypt::hash_with_salt(mac, cost, salt).ok()?;
    parts.format_for_version(bcrypt::Version::TwoB).get(29..).map(str::to_owned)
}

/// Encodes 16 bytes as 22 characters of bcrypt's alphabet.
fn encode_salt(salt: [u8; 16]) -> String {
    let mut text = String::with_capacity(22);
    for chunk in salt.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        let digits = [18, 12, 6, 0].map(|shift| char::from(ALPHABET[(bits >> shift & 63) as usize]));
        text.extend(&digits[..=chunk.len()]);
    }
    text
}

fn decode_salt(text: &str) -> Option<[u8; 16]> {
    let digits: Option<Vec<u32>> = text
        .bytes()
        .map(|byte| ALPHABET.iter().position(|letter| *letter == byte).map(|at| at as u32))
        .collect();
    let digits = digits.filter(|digits| digits.len() == 22)?;
    let mut bytes = Vec::with_capacity(18);
    for group in digits.chunks(4) {
        let bits = group.iter().enumerate().fold(0, |bits, (at, digit)| bits | digit << (18 - 6 * at));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
    bytes.truncate(16);
    bytes.try_into().ok()
}

/// Returns whether `plain` is the password behind the hash `stored`. A failure takes as long as one check
/// with `highest_cost`, whether or not a hash exists, and whatever its cost. After a check with cost c,
/// checks with the costs c, c + 1, … up to `highest_cost` - 1 are added. Together they make up the
/// difference.
pub fn check(
    stored: Option<&PasswordHash>,
    plain: &PlainPassword,
    highest_cost: u32,
) -> Result<bool, InvalidHash> {
    let Some(stored) = stored else {
        hash_and_discard(plain, highest_cost);
        return Ok(false);
    };
    if stored.verify(plain)? {
        return Ok(true);
    }
    (stored.cost()..highest_cost).for_each(|cost| hash_and_discard(plain, cost));
    Ok(false)
}

fn hash_and_discard(plain: &PlainPassword, cost: u32) {
    let salt = [0x5a; 16];
    std::hint::black_box(digest(plain, cost, salt, &encode_salt(salt)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> PlainPassword {
        PlainPassword::new(text)
    }

    #[test]
    fn hash_of_an_impossible_cost_is_an_error() {
        assert_eq!(PasswordHash::new(&plain("correct horse"), 99), Err(InvalidHash));
    }

    #[test]
    fn hash_verifies_only_its_password_and_parses_back() {
        let hash = PasswordHash::new(&plain("correct horse"), 4).unwrap();
        let read = PasswordHash::parse(hash.expose()).expect("ours");
        assert_eq!(check(Some(&read), &plain("correct horse"), 4), Ok(true));
        assert_eq!(check(Some(&read), &plain("Correct horse"), 5), Ok(false));
        assert_eq!(check(None, &plain("correct horse"), 4), Ok(false));
        assert!(!read.needs_upgrade(4) && read.needs_upgrade(5));
        assert_ne!(
            hash.expose(),
            PasswordHash::new(&plain("correct horse"), 4).unwrap().expose(),
            "the salt differs"
        );
    }

    #[test]
    fn every_byte_counts_including_those_after_a_nul() {
        let long = "x".repeat(999);
        let hash = PasswordHash::new(&plain(&format!("{long}a")), 4).unwrap();
        assert_eq!(check(Some(&hash), &plain(&format!("{long}b")), 4), Ok(false));
        assert_eq!(check(Some(&hash), &plain(&"x".repeat(72)), 4), Ok(false));
        let hash = PasswordHash::new(&plain("abc"), 4).unwrap();
        assert_eq!(check(Some(&hash), &plain("abc\0abc"), 4), Ok(false));
    }

    #[test]
    fn composed_and_decomposed_letters_are_one_password() {
        let hash = PasswordHash::new(&plain("caf\u{e9} au lait"), 4).unwrap();
        assert_eq!(check(Some(&hash), &plain("cafe\u{301} au lait"), 4), Ok(true));
    }

    #[test]
    fn overlong_text_is_not_composed() {
        let long = |count: usize| PlainPassword::new(&"e\u{301}".repeat(count)).0.len();
        assert_eq!(long(COMPOSED_MAX / 3), COMPOSED_MAX / 3 * 2);
        assert_eq!(long(COMPOSED_MAX / 3 + 1), (COMPOSED_MAX / 3 + 1) * 3);
        let policy = PasswordPolicy { min_length: 12 };
        assert_eq!(policy.find_errors(&plain(&"e\u{301}".repeat(2_000)), &[]), [PasswordError::TooLong]);
    }

    #[test]
    fn hashes_of_passlib_are_verified() {
        // Generated with passlib 1.7.4: bcrypt_sha256.using(rounds=4).hash(…)
        for (password, text) in VECTORS {
            let hash = PasswordHash::parse(text).expect("passlib's form");
            assert_eq!(check(Some(&hash), &plain(password), 4), Ok(true), "{password}");
            assert_eq!(check(Some(&hash), &plain("another"), 4), Ok(false));
        }
    }

    const VECTORS: [(&str, &str); 2] = [
        ("password", "$bcrypt-sha256$v=2,t=2b,r=4$QmnsEwr0S/J3MiWoiSGyce$/TkUBsONGuIVU8QEvRj5h2CQ9BBRt2K"),
        (
            "pässwörd, longer than seventy-two bytes: 0123456789 0123456789 0123456789 0123456789",
            "$bcrypt-sha256$v=2,t=2b,r=4$ORkNpy8AYb/66lgPuaUJK.$yT2epiE.CpVKQWteC2ZPBjukAv0AhH2",
        ),
    ];

    #[test]
    fn plain_bcrypt_is_verified_within_its_own_limits() {
        let text = bcrypt::hash_with_salt("abc", 4, [1; 16])
            .expect("a hash")
            .format_for_version(bcrypt::Version::TwoY);
        let hash = PasswordHash::parse(&text).expect("bcrypt's own form");
        assert!(hash.needs_upgrade(4));
        assert_eq!(check(Some(&hash), &plain("abc"), 4), Ok(true));
        assert_eq!(check(Some(&hash), &plain("abc\0abc"), 4), Ok(false));
        let text = bcrypt::hash_with_salt("x".repeat(72), 4, [1; 16]).expect("a hash").to_string();
        let hash = PasswordHash::parse(&text).expect("bcrypt's own form");
        assert_eq!(check(Some(&hash), &plain(&"x".repeat(72)), 4), Ok(true));
        assert_eq!(check(Some(&hash), &plain(&"x".repeat(73)), 4), Ok(false));
    }

    #[test]
    fn invalid_stored_hash_is_an_error_not_a_wrong_password() {
        let good = PasswordHash::new(&plain("abc"), 4).unwrap().expose().to_owned();
        for text in [
            "",
            "!",
            "pbkdf2_sha256$1$x$y",
            "$2b$31$abcdefghijklmnopqrstuuxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "$2b$12$short",
            &good[..good.len() - 1],
            &good.replace("r=4", "r=31"),
            &good.replace("v=2", "v=1"),
        ] {
            assert_eq!(PasswordHash::parse(text).map(|_| ()), Err(InvalidHash), "{text}");
        }
    }

    #[test]
    fn salts_are_encoded_like_those_of_bcrypt() {
        for salt in [[0; 16], [255; 16], [0x5a; 16], *b"0123456789abcdef"] {
            let theirs = bcrypt::hash_with_salt("x", 4, salt).expect("a hash").to_string();
            assert_eq!(encode_salt(salt), theirs[7..29]);
            assert_eq!(decode_salt(&encode_salt(salt)), Some(salt));
        }
    }

    #[test]
    fn every_broken_rule_is_reported_at_once() {
        let policy = PasswordPolicy { min_length: 12 };
        assert_eq!(policy.find_errors(&plain("a long enough pass phrase"), &["alice"]), []);
        assert_eq!(policy.find_errors(&plain("pass\0word"), &[]).len(), 3);
        assert_eq!(policy.find_errors(&plain(&"ab é ".repeat(400)), &[]), [PasswordError::TooLong]);
        let like = policy.find_errors(&plain("Alice.Liddell99"), &["alice.liddell", "alice@example.org"]);
        assert_eq!(like, [PasswordError::LikeTheName]);
        let (made, text) = PlainPassword::generate();
        assert_eq!((policy.find_errors(&made, &["admin"]), text.len()), (vec![], 29));
    }

    #[test]
    fn empty_password_is_only_too_short() {
        let policy = PasswordPolicy { min_length: 12 };
        assert_eq!(policy.find_errors(&plain(""), &["alice"]), [PasswordError::TooShort(12)]);
    }

    #[test]
    fn secrets_are_never_printed() {
        let (password, _) = PlainPassword::generate();
        assert_eq!(
            format!("{password:?} {:?}", PasswordHash::new(&password, 4).unwrap()),
            "PlainPassword PasswordHash"
        );
    }
}
