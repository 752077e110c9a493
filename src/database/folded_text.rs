//! Folds text into the form that lookups and searches compare. The server computes it, since the database's
//! locale varies.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;

/// The first of the letters that begin a character's code.
const FIRST: u32 = b'A' as u32;
/// The first of the letters that continue a character's code.
const NEXT: u32 = b'N' as u32;
/// The number of letters in each half of the alphabet.
const HALF: u32 = 13;
/// The number of first letters for codes of 3, 5 and 7 letters.
const LEADS: [u32; 3] = [9, 2, 2];
/// The length from which a run of letters and digits has a trigram.
const TRIGRAM: usize = 3;

/// Folds text by NFKC and full case folding, until neither changes anything (Unicode, section 3.13).
#[must_use]
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let (mapper, normalizer) = (CaseMapper::new(), ComposingNormalizerBorrowed::new_nfkc());
    let mut folded = text.to_owned();
    loop {
        let next = normalizer.normalize(&mapper.fold_string(&normalizer.normalize(&folded))).into_owned();
        if next == folded {
            return folded;
        }
        folded = next;
    }
}

/// Encodes folded text in ASCII. Each other character becomes three to seven capital letters, which folded
/// text does not contain. PostgreSQL's trigrams see only ASCII letters in the locale `C`. A string contains
/// another exactly if its code contains the other's code, since the letters that begin a character's code
/// never continue one.
#[must_use]
pub(crate) fn to_ascii(folded: &str) -> String {
    let mut ascii = String::with_capacity(folded.len());
    for character in folded.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            push_code(&mut ascii, u32::from(character) - 0x80);
        }
    }
    ascii
}

fn push_code(ascii: &mut String, mut number: u32) {
    let mut first = FIRST;
    for (leads, digits) in LEADS.into_iter().zip([2, 4, 6]) {
        let codes = leads * HALF.pow(digits);
        if number < codes {
            ascii.push(letter(first + number / HALF.pow(digits)));
            ascii.extend((0..digits).rev().map(|digit| letter(NEXT + number / HALF.pow(digit) % HALF)));
            return;
        }
        number -= codes;
        first += leads;
    }
}

fn letter(code: u32) -> char {
    char::from_u32(code).unwrap_or('Z')
}

/// A search term.
#[derive(Clone, Debug)]
pub struct Needle {
    folded: String,
    ascii: String,
}

impl Needle {
    /// Folds a search term as typed by a user.
    #[must_use]
    pub fn new(typed: &str) -> Self {
        let folded = fold(typed);
        let ascii = to_ascii(&folded);
        Self { folded, ascii }
    }

    /// Returns the `LIKE` pattern that matches text encoded by [`to_ascii`].
    #[must_use]
    pub fn pattern(&self) -> String {
        format!("%{}%", super::escape_like(&self.ascii))
    }

    /// Returns whether a trigram index can narrow the search.
    #[must_use]
    pub fn has_trigrams(&self) -> bool {
        self.ascii.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| run.len() >= TRIGRAM)
    }

    /// Returns whether `text` contains the search term.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        fold(text).contains(&self.folded)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_character_has_its_own_code() {
        let mut codes = std::collections::BTreeSet::new();
        for character in '\u{80}'..=char::MAX {
            let code = to_ascii(&character.to_string());
            assert!([3, 5, 7].contains(&code.len()), "{character}: {code}");
            assert!(code.bytes().all(|byte| byte.is_ascii_uppercase()), "{character}: {code}");
            let continues = |byte: u8| byte >= b'N';
            assert!(!continues(code.as_bytes()[0]) && code.bytes().skip(1).all(continues), "{code}");
            assert!(codes.insert(code), "{character}");
        }
    }

    #[test]
    fn needle_has_trigrams_only_with_three_adjacent_letters() {
        for (typed, has) in [
            ("", false),
            ("ab", false),
            ("a b-c", false),
            ("abc", true),
            ("ж", true),
            ("%_%", false),
            ("a1b", true),
        ] {
            assert_eq!(Needle::new(typed).has_trigrams(), has, "{typed}");
        }
    }

    #[test]
    fn needle_is_found_in_any_spelling() {
        for (typed, text) in
            [("ärger", "Ärger"), ("title", "TITLE"), ("STRASSE", "die Straße"), ("и", "МИР"), ("ﬁn", "FIN")]
        {
            assert!(Needle::new(typed).is_in(text), "{typed} in {text}");
        }
        assert!(!Needle::new("arger").is_in("Ärger"));
    }

    proptest! {
        #[test]
        fn substring_of_the_text_is_a_substring_of_its_code(text in "\\PC{0,12}", part in "\\PC{0,2}") {
            let (text, part) = (fold(&text), fold(&part));
            prop_assert_eq!(to_ascii(&text).contains(&to_ascii(&part)), text.contains(&part));
        }

        #[test]
        fn folding_twice_changes_nothing(text in "\\PC{1,40}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }
    }
}
