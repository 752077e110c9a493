//! Splits texts with backquotes, so that pages show the parts between them as code.

/// Splits a text at backquotes. True marks the parts that were between them and are code.
#[must_use]
pub(crate) fn parts(text: &str) -> Vec<(bool, &str)> {
    text.split('`').enumerate().map(|(at, part)| (at % 2 == 1, part)).collect()
}
