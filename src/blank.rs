//! Characters that are invisible although no Unicode property says so.

/// The blank Braille pattern, the object replacement character, the joiner of Brahmi numbers, the mirror and
/// blank controls of Egyptian hieroglyphs, the Khitan filler, and the musical null notehead.
const BLANK: [char; 8] =
    ['\u{2800}', '\u{fffc}', '\u{1107f}', '\u{13440}', '\u{13441}', '\u{13442}', '\u{16fe4}', '\u{1d159}'];

/// Returns true for a character that is invisible, but neither white space nor ignorable by its properties.
#[must_use]
pub(crate) fn is_blank(character: char) -> bool {
    BLANK.contains(&character)
}
