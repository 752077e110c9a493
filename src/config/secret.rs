//! Values that are used but never printed.

use std::fmt;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

use crate::blank::is_blank;

/// The text that replaces a secret wherever settings are shown.
pub(super) const MASK: &str = "***";

/// The byte order mark that some editors put at the start of a file. It is not part of a secret.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 32..=1024;

/// A string that is never printed. `Debug` masks it, and it does not implement `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the text itself, for the one place that needs it.
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

/// Checks that a password which people type has no invisible characters, and no spaces other than U+0020.
///
/// # Errors
/// The message names the character and its position, and nothing else of the password.
pub fn check_typed(password: &str) -> Result<(), String> {
    let letters: Vec<char> = password.chars().collect();
    let at = |index: Option<usize>| index.and_then(|index| letters.get(index).copied());
    for (index, letter) in letters.iter().copied().enumerate() {
        let [before, after] = [at(index.checked_sub(1)), at(Some(index + 1))];
        if is_unseen(letter) && !is_part_of_sign(letter, before, after) {
            return Err(format!(
                "its character {} is U+{:04X}, which is invisible or looks like a space, so no one could \
                 type it again",
                index + 1,
                u32::from(letter)
            ));
        }
    }
    Ok(())
}

/// Returns true for a character that is invisible or looks like a space, except for U+0020.
pub(super) fn is_unseen(letter: char) -> bool {
    match CodePointMapData::<GeneralCategory>::new().get(letter) {
        GeneralCategory::Control
        | GeneralCategory::Format
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => true,
        GeneralCategory::SpaceSeparator => letter != ' ',
        _ => is_blank(letter) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(letter),
    }
}

/// Returns whether a joiner or variation selector is part of a visible sign. Keyboards write them inside
/// emoji, and inside words of some scripts.
fn is_part_of_sign(letter: char, before: Option<char>, after: Option<char>) -> bool {
    let is_letter =
        |letter: Option<char>| letter.is_some_and(|letter| !letter.is_ascii() && !is_unseen(letter));
    match letter {
        '\u{200c}' | '\u{200d}' => {
            (is_letter(before) || before.is_some_and(|before| before == '\u{fe0f}')) && is_letter(after)
        }
        '\u{fe0e}' | '\u{fe0f}' => is_letter(before) || after == Some('\u{20e3}'),
        _ => false,
    }
}

/// The server's secret keys. The first encrypts, and any can decrypt. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretKeyTexts(Vec<Secret>);

impl SecretKeyTexts {
    /// Parses a comma-separated list, as in `DOORWARD_SECRET_KEY`.
    ///
    /// # Errors
    /// The message says which key of the list is wrong and why, without revealing any of it.
    pub fn from_list(text: &str) -> Result<Self, String> {
        Self::from_parts(text.split(',').map(str::trim))
    }

    /// Parses the content of a key file, with one key per line. Empty lines are skipped.
    ///
    /// # Errors
    /// The message says which key of the file is wrong and why, without revealing any of it.
    pub fn from_lines(text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches(BYTE_ORDER_MARK);
        Self::from_parts(text.lines().map(str::trim).filter(|line| !line.is_empty()))
    }

    /// Returns the keys, beginning with the one that encrypts.
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
                return Err(format!("key {number} has a comma or a character that is not visible ASCII"));
            }
            let key = Secret::new(part.to_owned());
            if keys.contains(&key) {
                return Err(format!("key {number} is listed twice"));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err("it contains no key".to_owned()) } else { Ok(Self(keys)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const TWO: &str = "fedcba9876543210fedcba9876543210";

    #[test]
    fn secret_is_never_printed() {
        let keys = SecretKeyTexts::from_list(ONE).unwrap();
        assert_eq!(format!("{keys:?}"), "SecretKeyTexts([***])");
        assert_eq!(format!("{:?}", Secret::new("hunter2".into())), "***");
    }

    #[test]
    fn invisible_characters_in_a_typed_password_are_refused() {
        for good in [
            "an unusual pass phrase",
            "Ünïcode£",
            "👩\u{200d}💻 ❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3}",
            "نامه\u{200c}ها",
        ] {
            assert_eq!(check_typed(good), Ok(()), "{good}");
        }
        for (unseen, position, code) in [
            ("\u{feff}correct horse", 1, "U+FEFF"),
            ("correct\u{200b} horse", 8, "U+200B"),
            ("é\u{2028}correct horse", 2, "U+2028"),
            ("correct\u{a0}horse", 8, "U+00A0"),
            ("correct\thorse", 8, "U+0009"),
            ("correct\u{200d}horse", 8, "U+200D"),
            ("correct é\u{200d}", 10, "U+200D"),
            ("correct\u{fe0f}horse", 8, "U+FE0F"),
            ("correct\u{ad}horse", 8, "U+00AD"),
            ("correct\u{3164}horse", 8, "U+3164"),
            ("correct\u{2800}horse", 8, "U+2800"),
        ] {
            let why = check_typed(unseen).unwrap_err();
            assert!(why.starts_with(&format!("its character {position} is {code}, ")), "{why}");
            assert!(!why.contains("correct"), "{why}");
        }
    }

    #[test]
    fn keys_keep_their_order_in_a_list_and_in_a_file() {
        let list = SecretKeyTexts::from_list(&format!("{ONE}, {TWO}")).unwrap();
        let file = SecretKeyTexts::from_lines(&format!("{ONE}\r\n\n{TWO}\n")).unwrap();
        assert_eq!(list, file);
        assert_eq!(SecretKeyTexts::from_lines(&format!("\u{feff}{ONE}\n{TWO}")).unwrap(), list);
        assert_eq!(list.iter().map(Secret::expose).collect::<Vec<_>>(), [ONE, TWO]);
    }

    #[test]
    fn invalid_key_is_named_by_its_position_and_not_shown() {
        let short = SecretKeyTexts::from_list(&format!("{ONE},tooshort")).unwrap_err();
        assert_eq!(short, "key 2 has 8 characters");
        let spaced = SecretKeyTexts::from_list("0123456789abcdef 123456789abcdef").unwrap_err();
        assert!(spaced.starts_with("key 1 has a comma or a character"), "{spaced}");
        assert!(SecretKeyTexts::from_lines(&format!("{ONE},{TWO}")).is_err());
        assert_eq!(SecretKeyTexts::from_list(&format!("{ONE},{ONE}")).unwrap_err(), "key 2 is listed twice");
        assert_eq!(SecretKeyTexts::from_lines("\n \n").unwrap_err(), "it contains no key");
        assert!(SecretKeyTexts::from_list(&format!("{ONE},")).is_err());
    }
}
