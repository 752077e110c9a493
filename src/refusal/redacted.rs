//! Removes credentials from text that a client sent before the text is answered, logged or kept.

use std::borrow::Cow;

use serde_json::Value;

/// The start of a credential, and the least number of characters behind that.
const FORMS: [(&str, usize); 3] = [("dwp_", 8), ("dwr_", 8), ("eyJ", 16)];

/// Replaces each word of a credential's form (a personal token, a refresh token, a JWT) by its first characters and an
/// ellipsis. Takes linear time, and copies only if it finds one.
#[must_use]
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    let mut kept: Option<String> = None;
    let mut copied = 0;
    let mut at = 0;
    while let Some(end) = next_word(text, &mut at) {
        let start = at;
        at = end;
        let Some(shown) = credential_start(&text[start..end]) else { continue };
        let kept = kept.get_or_insert_default();
        kept.push_str(&text[copied..start]);
        kept.push_str(shown);
        kept.push('…');
        copied = end;
    }
    match kept {
        None => Cow::Borrowed(text),
        Some(mut kept) => {
            kept.push_str(&text[copied..]);
            Cow::Owned(kept)
        }
    }
}

/// The least length of a run in a path that may be the secret of a link. Those are 43 characters; a path may break one.
const SECRET_RUN: usize = 20;

/// Returns a path that no route matched as it may be shown: printable ASCII, `limit` characters at most, and an ellipsis
/// for each run of letters and digits that is long enough to be a secret. A misspelt address of a link still holds it.
#[must_use]
pub fn unmatched_path(path: &str, limit: usize) -> String {
    let is_of_run = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut shown = String::new();
    let mut rest = path.get(..path.floor_char_boundary(4 * limit)).unwrap_or_default();
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_of_run(c) != is_of_run(first)).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        rest = behind;
        let is_secret = is_of_run(first) && run.len() >= SECRET_RUN && uuid::Uuid::try_parse(run).is_err();
        match is_secret {
            true => shown.push('…'),
            false => shown.extend(run.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' })),
        }
    }
    shown.chars().take(limit).collect()
}

/// Does the same as [`without_credentials`] in every string of a JSON value.
pub(super) fn redact(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(kept) = without_credentials(text) {
                *text = kept;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact),
        Value::Object(members) => members.values_mut().for_each(redact),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Moves `at` to the start of the next word and returns the word's end.
fn next_word(text: &str, at: &mut usize) -> Option<usize> {
    let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let bytes = text.as_bytes();
    *at += bytes[*at..].iter().position(is_of_word)?;
    let length = bytes[*at..].iter().position(|byte| !is_of_word(byte));
    Some(length.map_or(bytes.len(), |length| *at + length))
}

fn credential_start(word: &str) -> Option<&'static str> {
    let (start, _) = FORMS.into_iter().find(|(start, least)| {
        let behind = word.strip_prefix(start);
        behind.is_some_and(|behind| behind.len() >= *least && (*start != "eyJ" || behind.contains('.')))
    })?;
    Some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_cut_and_other_text_is_kept() {
        for (text, kept) in [
            ("", ""),
            ("Nothing is at /x.", "Nothing is at /x."),
            ("at /notes/dwp_abcdefgh1;", "at /notes/dwp_…;"),
            ("dwr_abcdefgh1", "dwr_…"),
            ("?t=eyJhbGciOiJFUzI1NiJ9.e30.c2ln&x", "?t=eyJ…&x"),
            ("dwp_abcdefgh1 dwr_abcdefgh1", "dwp_… dwr_…"),
            ("ä dwp_abcdefgh1 ß", "ä dwp_… ß"),
            ("begins with dwp_ or dwr_", "begins with dwp_ or dwr_"),
            ("eyJob is a word", "eyJob is a word"),
        ] {
            assert_eq!(without_credentials(text), kept);
        }
    }

    #[test]
    fn unmatched_path_hides_what_may_be_a_secret() {
        let secret = "Zt9secretZt9secretZt9secretZt9secretZt9secr";
        for before in ["/set-password/", "/Set-Password/", "//setpassword/", "/set%2Dpassword%2F", "/"] {
            for behind in ["", "/", ".", "?", "%0A", "/x"] {
                let shown = unmatched_path(&format!("{before}{secret}{behind}"), 128);
                assert!(!shown.contains("secret"), "{shown}");
            }
        }
        for (path, shown) in [
            ("/api/v1/nowhere", "/api/v1/nowhere"),
            (
                "/api/v1/users/0192d7a0-0000-7000-8000-000000000000/x",
                "/api/v1/users/0192d7a0-0000-7000-8000-000000000000/x",
            ),
            ("/a\r\n\u{1b}ä", "/a????"),
        ] {
            assert_eq!(unmatched_path(path, 128), shown);
        }
        assert_eq!(unmatched_path(&"/a".repeat(1000), 128).len(), 128);
    }

    #[test]
    fn every_string_of_a_value_is_redacted() {
        let mut value = serde_json::json!({ "a": ["dwp_abcdefgh1", 1], "b": "plain" });
        redact(&mut value);
        assert_eq!(value, serde_json::json!({ "a": ["dwp_…", 1], "b": "plain" }));
    }
}
