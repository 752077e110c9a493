//! Colours and the contrast of text (WCAG 2.2, success criterion 1.4.3).

use std::fmt;

/// The least contrast of text with its background (WCAG 2.2, level AA).
pub const CONTRAST_MIN: f64 = 4.5;

/// An opaque sRGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour([u8; 3]);

impl Colour {
    pub const WHITE: Self = Self([255; 3]);

    /// Parses `#rrggbb` or `#rgb`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?.as_bytes();
        let digit =
            |index: usize| char::from(digits[index]).to_digit(16).and_then(|it| u8::try_from(it).ok());
        let part = |high: usize, low: usize| Some(digit(high)? * 16 + digit(low)?);
        match digits.len() {
            6 => Some(Self([part(0, 1)?, part(2, 3)?, part(4, 5)?])),
            3 => Some(Self([part(0, 0)?, part(1, 1)?, part(2, 2)?])),
            _ => None,
        }
    }

    /// Returns the contrast ratio of two colours, from 1 to 21.
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// Returns the relative luminance, from 0 to 1.
    fn luminance(self) -> f64 {
        let linear = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(formatter, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_has_six_or_three_hexadecimal_digits() {
        for (text, colour) in [("#0a55b5", "#0a55b5"), ("#FFF", "#ffffff"), ("#1aB", "#11aabb")] {
            assert_eq!(Colour::parse(text).unwrap().to_string(), colour);
        }
        for wrong in ["", "#", "0a55b5", "#0a55b", "#0a55b5ff", "#ggg", "red", "#+1+1+1", "#ää", "#12345é"]
        {
            assert_eq!(Colour::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn contrast_is_that_of_the_guidelines() {
        let contrast =
            |one: &str, other: &str| Colour::parse(one).unwrap().contrast(Colour::parse(other).unwrap());
        assert!((contrast("#000", "#fff") - 21.0).abs() < 1e-9);
        assert!((contrast("#fff", "#fff") - 1.0).abs() < 1e-9);
        // #767676 is the lightest grey that passes on white; #777777 fails.
        assert!(contrast("#fff", "#767676") > CONTRAST_MIN && contrast("#fff", "#777") < CONTRAST_MIN);
    }
}
