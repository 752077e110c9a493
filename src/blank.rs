//! Characters that show nothing although no property of Unicode says so.

/// The blank Braille pattern, the place of an object, blank Egyptian hieroglyphs, a filler of Khitan, the musical note
/// without a head, and the joiner of Brahmi numbers.
const BLANK: [char; 8] =
    ['\u{2800}', '\u{fffc}', '\u{1107f}', '\u{13440}', '\u{13441}', '\u{13442}', '\u{16fe4}', '\u{1d159}'];

/// Returns whether a character is blank that is neither white space nor ignorable by its properties.
#[must_use]
pub fn is_blank(character: char) -> bool {
    BLANK.contains(&character)
}
