//! Values that are used but never printed.

use std::fmt;

/// What stands in place of a secret wherever settings are shown.
pub const MASK: &str = "***";

/// What some editors put before a text. It is no part of a secret.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 32..=1024;

/// A text that never prints: `Debug` masks it and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text out of sight.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

/// The server's secret keys: the first makes, all open. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretKeys(Vec<Secret>);

impl SecretKeys {
    /// Reads a comma-separated list, as in `DOORWARD_SECRET_KEY`.
    ///
    /// # Errors
    /// Says which key of the list is wrong and why, without a byte of it.
    pub fn from_list(text: &str) -> Result<Self, String> {
        Self::from_parts(text.split(',').map(str::trim))
    }

    /// Reads the content of a key file: one key per line, empty lines are passed over.
    ///
    /// # Errors
    /// Says which key of the file is wrong and why, without a byte of it.
    pub fn from_lines(text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches(BYTE_ORDER_MARK);
        Self::from_parts(text.lines().map(str::trim).filter(|line| !line.is_empty()))
    }

    /// The keys, the one that makes first.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }

    fn from_parts<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut keys = Vec::new();
        for (index, part) in parts.enumerate() {
            let number = index + 1;
            if !KEY_LENGTHS.contains(&part.len()) {
                return Err(format!("key {number} has {} characters", part.len()));
            }
            if !part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
                return Err(format!("key {number} has a character that is not visible ASCII, or a comma"));
            }
            let key = Secret::new(part.to_owned());
            if keys.contains(&key) {
                return Err(format!("key {number} stands in the list twice"));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err("it holds no key".to_owned()) } else { Ok(Self(keys)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const TWO: &str = "fedcba9876543210fedcba9876543210";

    #[test]
    fn a_secret_never_prints() {
        let keys = SecretKeys::from_list(ONE).unwrap();
        assert_eq!(format!("{keys:?}"), "SecretKeys([***])");
        assert_eq!(format!("{:?}", Secret::new("hunter2".into())), "***");
    }

    #[test]
    fn keys_keep_their_order_in_a_list_and_in_a_file() {
        let list = SecretKeys::from_list(&format!("{ONE}, {TWO}")).unwrap();
        let file = SecretKeys::from_lines(&format!("{ONE}\r\n\n{TWO}\n")).unwrap();
        assert_eq!(list, file);
        assert_eq!(SecretKeys::from_lines(&format!("\u{feff}{ONE}\n{TWO}")).unwrap(), list);
        assert_eq!(list.iter().map(Secret::expose).collect::<Vec<_>>(), [ONE, TWO]);
    }

    #[test]
    fn a_wrong_key_is_named_by_its_place_and_not_shown() {
        let short = SecretKeys::from_list(&format!("{ONE},tooshort")).unwrap_err();
        assert_eq!(short, "key 2 has 8 characters");
        let spaced = SecretKeys::from_list("0123456789abcdef 123456789abcdef").unwrap_err();
        assert!(spaced.starts_with("key 1 has a character"), "{spaced}");
        assert!(SecretKeys::from_lines(&format!("{ONE},{TWO}")).is_err());
        assert_eq!(
            SecretKeys::from_list(&format!("{ONE},{ONE}")).unwrap_err(),
            "key 2 stands in the list twice"
        );
        assert_eq!(SecretKeys::from_lines("\n \n").unwrap_err(), "it holds no key");
        assert!(SecretKeys::from_list(&format!("{ONE},")).is_err());
    }
}
