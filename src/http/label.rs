//! Validates labels, such as a note's title or the name of a device or token. People see them next to other
//! text on one line of a page, a terminal or a log.

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

use crate::blank::is_blank;

/// The reason why a label is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A control character or a line break.
    #[error("contains U+{0:04X}, which is not allowed in a single line of text")]
    Control(u32),
    /// A character that changes the direction of all text after it, beyond the label itself.
    #[error("contains U+{0:04X}, which changes the direction of the text around it")]
    Direction(u32),
    /// A label without any visible character.
    #[error("contains no visible character")]
    Invisible,
}

impl LabelError {
    /// Returns the code for the entry in `errors`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Control(_) | Self::Direction(_) => "invalid_character",
            Self::Invisible => "too_short",
        }
    }
}

/// Checks a label. Accepts joiners and direction marks, which scripts and emoji need.
pub fn check(text: &str) -> Result<(), LabelError> {
    let categories = CodePointMapData::<GeneralCategory>::new();
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    for letter in text.chars() {
        let code = u32::from(letter);
        match (categories.get(letter), letter) {
            (
                GeneralCategory::Control
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator,
                _,
            ) => return Err(LabelError::Control(code)),
            // The embeddings, overrides and isolates of Unicode's bidirectional algorithm (UAX #9).
            (_, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                return Err(LabelError::Direction(code));
            }
            _ => {}
        }
    }
    let is_seen = |letter: char| !letter.is_whitespace() && !ignorable.contains(letter) && !is_blank(letter);
    if text.chars().any(is_seen) { Ok(()) } else { Err(LabelError::Invisible) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disguising_characters_are_refused_and_scripts_are_kept() {
        for (text, error) in [
            ("a\nb", LabelError::Control(0x0a)),
            ("a\u{1b}[31mb", LabelError::Control(0x1b)),
            ("a\u{85}b", LabelError::Control(0x85)),
            ("a\u{2028}b", LabelError::Control(0x2028)),
            ("invoice\u{202e}fdp.exe", LabelError::Direction(0x202e)),
            ("a\u{2067}b", LabelError::Direction(0x2067)),
            ("\u{200b}", LabelError::Invisible),
            (" \u{3164}\u{feff} ", LabelError::Invisible),
            ("\u{2800}", LabelError::Invisible),
            ("\u{2800} \u{1d159}\u{fffc}", LabelError::Invisible),
            ("", LabelError::Invisible),
        ] {
            assert_eq!(check(text), Err(error), "{text:?}");
            let code = if error == LabelError::Invisible { "too_short" } else { "invalid_character" };
            assert_eq!(error.code(), code);
        }
        for text in ["my laptop", "👩\u{200d}💻", "نامه\u{200c}ها", "a\u{200e}b", "שלום", "a\u{200b}b", "é"]
        {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
    }
}
