//! Validates usernames and e-mail addresses. Both share one namespace, in which names that look alike to
//! Unicode are the same name.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

use super::canonical_form::{self, canonical};
use crate::blank::is_blank;

/// The maximum length of a username, in characters.
const USERNAME_MAX: usize = 150;
/// The maximum length of an address in bytes (RFC 5321, section 4.5.3.1.3).
const EMAIL_MAX: usize = 254;
/// The maximum length of an address's local part in bytes (RFC 5321, section 4.5.3.1.1).
const LOCAL_MAX: usize = 64;
/// The maximum length of a string that is composed, in bytes. Composing shortens a string to a third at most,
/// so a longer text cannot become a valid username.
const COMPOSED_MAX: usize = 4 * 4 * USERNAME_MAX;

/// The reason why a name is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("must not be empty")]
    Empty,
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// The name contains a space or another white-space character.
    #[error("must not contain white space (U+{0:04X})")]
    WhiteSpace(u32),
    /// The name contains a character that is invisible, changes how others are displayed, or has no meaning.
    #[error("contains U+{0:04X}, which is invisible or has no fixed meaning")]
    InvisibleCharacter(u32),
    /// The name begins with a mark that combines with a preceding character.
    #[error("starts with the combining mark U+{0:04X}")]
    CombiningMark(u32),
    /// The name contains a colon, which ends the username in Basic credentials (RFC 7617, section 2).
    #[error("must not contain a colon")]
    Colon,
    /// Users cannot choose an address as a username, because it may belong to someone else.
    #[error("must not contain @; put an address into `email`")]
    AtSign,
    /// The name is not a valid address, although it contains an @ or must be an address.
    #[error("is not an e-mail address")]
    NotAnAddress,
}

impl NameError {
    /// Returns the code in a validation error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "too_short",
            Self::TooLong(_) => "too_long",
            Self::WhiteSpace(_) => "white_space",
            Self::InvisibleCharacter(_) => "invisible_character",
            Self::CombiningMark(_) => "combining_mark",
            Self::Colon => "colon",
            Self::AtSign => "at_sign",
            Self::NotAnAddress => "not_an_address",
        }
    }
}

/// A username, as typed and folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    typed: String,
    folded: String,
}

impl Username {
    /// Parses a username. If it has an @, it must be an address, because both share one namespace.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let typed = composed(text).ok_or(NameError::TooLong(USERNAME_MAX))?;
        check_characters(&typed)?;
        if typed.chars().count() > USERNAME_MAX {
            return Err(NameError::TooLong(USERNAME_MAX));
        }
        if typed.contains('@') {
            check_address(&typed)?;
        }
        let folded = canonical(&typed);
        if typed.contains('@') {
            // A domain in ASCII can hide characters that only its Unicode form shows.
            check_characters(&folded)?;
        }
        Ok(Self { typed, folded })
    }

    /// Parses the username of a new account.
    pub fn parse_new(text: &str) -> Result<Self, NameError> {
        let username = Self::parse(text)?;
        username.check_new().map(|()| username)
    }

    /// Parses a username that someone chooses for their own new account.
    pub fn parse_own(text: &str) -> Result<Self, NameError> {
        let username = Self::parse(text)?;
        username.check_own().map(|()| username)
    }

    /// Checks what is not allowed in new usernames. Existing accounts may keep such names.
    ///
    /// # Errors
    /// [`NameError::Colon`].
    pub fn check_new(&self) -> Result<(), NameError> {
        if self.folded.contains(':') { Err(NameError::Colon) } else { Ok(()) }
    }

    /// Checks what is not allowed in usernames that users choose themselves.
    ///
    /// # Errors
    /// [`NameError::Colon`], [`NameError::AtSign`].
    pub fn check_own(&self) -> Result<(), NameError> {
        self.check_new()?;
        if self.folded.contains('@') { Err(NameError::AtSign) } else { Ok(()) }
    }

    /// Returns whether `username` is another spelling of this one.
    #[must_use]
    pub fn is_spelling_of(&self, username: &str) -> bool {
        fold_typed(username).is_some_and(|folded| folded == self.folded)
    }

    /// Returns the name as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// Returns the form that is compared.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// Returns its other spellings, if it is an address.
    #[must_use]
    pub fn aliases(&self) -> Vec<String> {
        canonical_form::aliases(&self.typed)
    }
}

/// An e-mail address, as typed and folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailAddress {
    typed: String,
    folded: String,
}

impl EmailAddress {
    /// Parses an address (RFC 5321 and RFC 6531, without quoted local parts and address literals).
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let typed = composed(text).ok_or(NameError::TooLong(EMAIL_MAX))?;
        check_characters(&typed)?;
        check_address(&typed)?;
        let folded = canonical(&typed);
        check_characters(&folded)?;
        Ok(Self { typed, folded })
    }

    /// Returns the address as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// Returns the form that is compared.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// Returns its other spellings.
    #[must_use]
    pub fn aliases(&self) -> Vec<String> {
        canonical_form::aliases(&self.typed)
    }
}

/// Folds a name that someone typed, for a comparison. Returns `None` if no account can have the name.
#[must_use]
pub fn fold_typed(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= 4 * EMAIL_MAX && !text.contains('\0');
    composed(text).filter(|_| fits).map(|typed| canonical(&typed))
}

/// Composes a string (NFC). Returns `None` if it is longer than any name.
fn composed(text: &str) -> Option<String> {
    let fits = text.len() <= COMPOSED_MAX;
    fits.then(|| ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned())
}

fn check_characters(text: &str) -> Result<(), NameError> {
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let categories = CodePointMapData::<GeneralCategory>::new();
    let Some(first) = text.chars().next() else { return Err(NameError::Empty) };
    for character in text.chars() {
        let code = u32::from(character);
        match categories.get(character) {
            GeneralCategory::SpaceSeparator
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator => return Err(NameError::WhiteSpace(code)),
            GeneralCategory::Control if character.is_whitespace() => return Err(NameError::WhiteSpace(code)),
            GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned => return Err(NameError::InvisibleCharacter(code)),
            _ if ignorable.contains(character) || is_blank(character) => {
                return Err(NameError::InvisibleCharacter(code));
            }
            _ => {}
        }
    }
    match categories.get(first) {
        GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark | GeneralCategory::EnclosingMark => {
            Err(NameError::CombiningMark(u32::from(first)))
        }
        _ => Ok(()),
    }
}

fn check_address(text: &str) -> Result<(), NameError> {
    if text.len() > EMAIL_MAX {
        return Err(NameError::TooLong(EMAIL_MAX));
    }
    let (local, domain) = text.split_once('@').ok_or(NameError::NotAnAddress)?;
    let is_atom = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let local_is_good = local.len() <= LOCAL_MAX
        && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom));
    let is_label = |label: &str| {
        let inner = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let domain_is_good = domain.split('.').all(is_label);
    if local_is_good && domain_is_good { Ok(()) } else { Err(NameError::NotAnAddress) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(text: &str) -> String {
        Username::parse(text).expect(text).folded().to_owned()
    }

    #[test]
    fn names_that_look_alike_to_unicode_are_equal() {
        for (one, other) in [
            ("Alice", "aLICE"),
            ("Straße", "STRASSE"),
            ("ﬁona", "Fiona"),
            ("ａｌｉｃｅ", "alice"),
            ("José", "jose\u{301}"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("Å", "\u{212B}"),
            ("x²", "X2"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} and {other}");
        }
        assert_ne!(folded("alice"), folded("alicé"));
    }

    #[test]
    fn invisible_characters_and_white_space_are_refused() {
        for (text, code) in [
            ("", "too_short"),
            ("a b", "white_space"),
            (" a", "white_space"),
            ("a\u{A0}b", "white_space"),
            ("a\nb", "white_space"),
            ("a\0b", "invisible_character"),
            ("a\u{1b}[31m", "invisible_character"),
            ("a\u{200B}b", "invisible_character"),
            ("a\u{200D}b", "invisible_character"),
            ("a\u{202E}b", "invisible_character"),
            ("a\u{2066}b", "invisible_character"),
            ("a\u{FEFF}b", "invisible_character"),
            ("a\u{AD}b", "invisible_character"),
            ("a\u{3164}b", "invisible_character"),
            ("a\u{2800}b", "invisible_character"),
            ("a\u{fffc}b", "invisible_character"),
            ("a\u{13441}b", "invisible_character"),
            ("a\u{16fe4}b", "invisible_character"),
            ("a\u{1d159}b", "invisible_character"),
            ("a\u{FE0F}b", "invisible_character"),
            ("a\u{E000}b", "invisible_character"),
            ("a\u{378}b", "invisible_character"),
            ("\u{301}a", "combining_mark"),
            ("me@", "not_an_address"),
            ("@home", "not_an_address"),
        ] {
            assert_eq!(Username::parse(text).expect_err(text).code(), code, "{text:?}");
        }
        assert_eq!(Username::parse(&"x".repeat(151)).map(|_| ()), Err(NameError::TooLong(150)));
        assert!(Username::parse(&"é".repeat(150)).is_ok());
    }

    #[test]
    fn email_addresses_are_validated_and_folded() {
        for text in ["a@b", "a.b+c@example.org", "O'Neil@example.org", "üser@exämple.org", "x@1-2.example"]
        {
            assert!(EmailAddress::parse(text).is_ok(), "{text}");
        }
        for text in [
            "a", "a@", "@b", "a@b@c", ".a@b", "a.@b", "a..b@c", "a@-b", "a@b-", "a@b..c", "a@b.", "a\"b@c",
            "a@b_c",
        ] {
            assert_eq!(EmailAddress::parse(text), Err(NameError::NotAnAddress), "{text}");
        }
        let address = EmailAddress::parse("Alice@Example.ORG").expect("an address");
        assert_eq!((address.as_str(), address.folded()), ("Alice@Example.ORG", "alice@example.org"));
        assert_eq!(folded("ALICE@example.org"), address.folded());
        assert!(EmailAddress::parse(&format!("{}@b", "a".repeat(65))).is_err());
    }

    #[test]
    fn invisible_domain_is_refused_in_either_form() {
        // A Sinhala name whose correct spelling has a zero-width joiner.
        let typed = "a@\u{dc1}\u{dca}\u{200d}\u{dbb}\u{dd3}.com";
        let ascii = format!("a@{}", idna::domain_to_ascii(&typed[2..]).expect("a domain"));
        assert!(ascii.starts_with("a@xn--"), "{ascii}");
        for text in [typed, &ascii] {
            assert_eq!(EmailAddress::parse(text), Err(NameError::InvisibleCharacter(0x200d)), "{text}");
            assert_eq!(Username::parse(text), Err(NameError::InvisibleCharacter(0x200d)), "{text}");
        }
    }

    #[test]
    fn typed_login_name_is_folded_without_validation() {
        assert_eq!(fold_typed("ALICE").as_deref(), Some("alice"));
        assert_eq!(fold_typed("no such name").as_deref(), Some("no such name"));
        assert_eq!(fold_typed(""), None);
        assert_eq!(fold_typed("a\0"), None);
        assert_eq!(fold_typed(&"x".repeat(2_000)), None);
    }

    proptest! {
        #[test]
        fn accepted_name_is_found_by_the_typed_text(text in "\\PC{1,20}") {
            if let Ok(name) = Username::parse(&text) {
                let typed = fold_typed(&text);
                prop_assert_eq!(typed.as_deref(), Some(name.folded()));
            }
        }
    }
}
