//! Parses and writes durations such as `90s`, `5m`, `2h` and `30d`.

use std::time::Duration;

const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Parses a whole number with one unit.
///
/// # Errors
/// The message says what is wrong.
pub(super) fn read(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit = &text[digits.len()..];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("it is not a whole number with a unit".to_owned());
    }
    let Some((_, seconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let reason = if unit.is_empty() { "it has no unit" } else { "its unit is not s, m, h or d" };
        return Err(reason.to_owned());
    };
    let seconds = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(*seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "it is too large".to_owned())
}

/// Writes a duration in the largest unit that is exact. Fractions of a second are not shown.
#[must_use]
pub(super) fn write(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let unit = UNITS.iter().find(|(_, length)| seconds > 0 && seconds.is_multiple_of(*length));
    let (name, length) = unit.unwrap_or(&("s", 1));
    format!("{}{name}", seconds / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_parsed_and_written_back() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("2h", 7_200), ("30d", 2_592_000), ("0s", 0)] {
            assert_eq!(read(text), Ok(Duration::from_secs(seconds)));
            assert_eq!(write(Duration::from_secs(seconds)), text);
        }
        assert_eq!(write(Duration::from_secs(120)), "2m");
    }

    #[test]
    fn invalid_duration_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "it is not a whole number with a unit"),
            ("s", "it is not a whole number with a unit"),
            ("-5m", "it is not a whole number with a unit"),
            ("1.5h", "it is not a whole number with a unit"),
            ("5 m", "its unit is not s, m, h or d"),
            ("1h30m", "it is not a whole number with a unit"),
            ("300", "it has no unit"),
            ("5M", "its unit is not s, m, h or d"),
            ("5w", "its unit is not s, m, h or d"),
            ("5µ", "its unit is not s, m, h or d"),
            ("99999999999999999999s", "it is too large"),
            ("999999999999999999d", "it is too large"),
        ] {
            assert_eq!(read(text), Err(reason.to_owned()), "{text}");
        }
    }
}
