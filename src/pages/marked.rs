//! Splits texts that programs read too, so that pages show their code and times as people expect.

use chrono::{DateTime, Utc};

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Text(&'a str),
    /// A part between backquotes.
    Code(&'a str),
    /// An RFC 3339 time to the second, and the same time for people.
    Time(&'a str, String),
}

/// The length of a time such as `2026-03-01T12:00:00Z`.
const TIME_LEN: usize = 20;

/// Splits a text at its backquotes and times.
#[must_use]
pub(crate) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for (at, part) in text.split('`').enumerate() {
        if at % 2 == 1 { parts.push(Part::Code(part)) } else { split_at_times(part, &mut parts) }
    }
    parts
}

fn split_at_times<'a>(text: &'a str, parts: &mut Vec<Part<'a>>) {
    let (mut rest, mut from) = (text, 0);
    // Every time has a `T` after ten characters.
    while let Some(found) = rest.get(from..).and_then(|later| later.find('T')).map(|at| from + at) {
        let start = found.checked_sub(10);
        let time =
            start.and_then(|start| Some((start, rest.get(start..start + TIME_LEN)?, read(rest, start)?)));
        match time {
            Some((start, exact, words)) => {
                push_text(&rest[..start], parts);
                parts.push(Part::Time(exact, words));
                (rest, from) = (&rest[start + TIME_LEN..], 0);
            }
            None => from = found + 1,
        }
    }
    push_text(rest, parts);
}

fn push_text<'a>(text: &'a str, parts: &mut Vec<Part<'a>>) {
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
}

fn read(text: &str, start: usize) -> Option<String> {
    let text = text.get(start..start + TIME_LEN).filter(|text| text.ends_with('Z'))?;
    let time: DateTime<Utc> = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    Some(time.format("%-d %B %Y, %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_times_are_split_from_their_text() {
        let time = || Part::Time("2026-03-01T12:00:05Z", "1 March 2026, 12:00:05 UTC".to_owned());
        for (text, expected) in [
            ("The `jti` is wrong", vec![Part::Text("The "), Part::Code("jti"), Part::Text(" is wrong")]),
            ("2026-03-01T12:00:05Z", vec![time()]),
            (
                "It ended at 2026-03-01T12:00:05Z (T).",
                vec![Part::Text("It ended at "), time(), Part::Text(" (T).")],
            ),
            ("`2026-03-01T12:00:05Z`", vec![Part::Code("2026-03-01T12:00:05Z")]),
            ("2026-13-01T12:00:05Z ÄT", vec![Part::Text("2026-13-01T12:00:05Z ÄT")]),
            ("äääääT12:00:05Z", vec![Part::Text("äääääT12:00:05Z")]),
            ("", vec![]),
        ] {
            let found: Vec<_> = parts(text).into_iter().filter(|part| *part != Part::Text("")).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
