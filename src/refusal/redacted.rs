//! Removes credentials from text sent by a client, before the text is sent back, logged or kept.

use std::borrow::Cow;

use serde_json::Value;

/// The prefixes of personal and refresh tokens.
const TOKENS: [&str; 2] = ["dwp_", "dwr_"];
/// The minimum number of characters after the prefix of a token.
const TOKEN_REST: usize = 8;
/// The prefix of a JWT.
const JWT: &str = "eyJ";
/// The minimum number of characters after the prefix of a JWT. Inside a word, only those before the first dot
/// count.
const JWT_REST: usize = 16;

/// Replaces each credential (personal token, refresh token or JWT) by its prefix and an ellipsis. Finds
/// credentials inside words and percent-encoded ones. Takes linear time.
#[must_use]
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    if !may_contain_credential(text) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    let mut copied = 0;
    let mut word = Word::default();
    let mut at = 0;
    while word.read(text, &mut at) {
        let Some((start, shown)) = word.credential() else { continue };
        kept.push_str(&text[copied..start]);
        kept.push_str(shown);
        kept.push('…');
        copied = at;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(&text[copied..]);
    Cow::Owned(kept)
}

/// Applies [`without_credentials`] to an owned text, which it does not copy if there is nothing to replace.
#[must_use]
pub(super) fn redacted(text: String) -> String {
    match without_credentials(&text) {
        Cow::Owned(kept) => kept,
        Cow::Borrowed(_) => text,
    }
}

/// Returns false if the text has neither the start of a credential nor an escape that may hide one. It spares
/// most strings the search.
fn may_contain_credential(text: &str) -> bool {
    let is_start = |three: &[u8]| three[..2].eq_ignore_ascii_case(b"dw") || three == JWT.as_bytes();
    text.contains('%') || text.as_bytes().windows(3).any(is_start)
}

/// The least length of a run of characters in a path that may be the secret of a link. Such secrets have 43
/// characters, but a path may split one.
const SECRET_RUN: usize = 20;

/// Returns a path that matches no route, without what may be a secret: a mistyped link still contains its
/// secret.
///
/// Replaces runs of letters, digits, `-` and `_` by an ellipsis, percent-encoded or not. A run stays if it is
/// a UUID or has fewer than `SECRET_RUN` characters. Other characters than printable ASCII become `?`. The
/// result has at most `limit` characters.
#[must_use]
pub fn path_without_secrets(path: &str, limit: usize) -> String {
    let is_of_run = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let window = path.get(..path.floor_char_boundary(4 * limit)).unwrap_or_default();
    let is_cut = window.len() < path.len();
    let window = without_credentials(window);
    let mut shown = String::new();
    let mut run = Vec::new();
    let mut at = 0;
    while at < window.len() {
        let start = at;
        run.clear();
        while let Some((byte, length)) =
            decoded(&window.as_bytes()[at..]).filter(|(byte, _)| is_of_run(*byte))
        {
            run.push(byte);
            at += length;
        }
        // The cut may have split an escape too, even a nested one.
        let rest = &window[at..];
        let is_part_of_escape = rest
            .strip_prefix('%')
            .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let may_go_on = is_cut && (rest.is_empty() || is_part_of_escape);
        let is_secret = run.len() >= SECRET_RUN && uuid::Uuid::try_parse_ascii(&run).is_err();
        match is_secret || may_go_on && !run.is_empty() {
            true => shown.push('…'),
            false => shown.push_str(&window[start..at]),
        }
        match (window[at..].chars().next(), decoded(&window.as_bytes()[at..])) {
            (Some('%'), Some((_, length))) => {
                shown.push_str(&window[at..at + length]);
                at += length;
            }
            (Some(letter), _) => {
                shown.push(if letter.is_ascii_graphic() || letter == '…' { letter } else { '?' });
                at += letter.len_utf8();
            }
            (None, _) => {}
        }
    }
    shown.chars().take(limit).collect()
}

/// Returns the next byte and the number of bytes that encode it. Decodes percent-encoding, even if it is
/// nested.
fn decoded(bytes: &[u8]) -> Option<(u8, usize)> {
    let first = *bytes.first()?;
    if first != b'%' {
        return Some((first, 1));
    }
    let nested = bytes[1..].chunks_exact(2).take_while(|pair| *pair == b"25").count();
    let digits = 1 + 2 * nested;
    let hex = bytes.get(digits..digits + 2).and_then(|pair| {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        u8::try_from(16 * digit(pair[0])? + digit(pair[1])?).ok()
    });
    Some(hex.map_or((b'%', digits), |byte| (byte, digits + 2)))
}

/// A word of a string, percent-decoded.
#[derive(Default)]
struct Word {
    bytes: Vec<u8>,
    /// The position of each byte in the text.
    starts: Vec<usize>,
}

impl Word {
    /// Reads the next word from `at`, and moves `at` behind it. Returns false at the end of the text.
    fn read(&mut self, text: &str, at: &mut usize) -> bool {
        self.bytes.clear();
        self.starts.clear();
        while let Some((byte, length)) = decoded(&text.as_bytes()[*at..]) {
            let is_of_word = byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            if !is_of_word && !self.bytes.is_empty() {
                return true;
            }
            if is_of_word {
                self.bytes.push(byte);
                self.starts.push(*at);
            }
            *at += length;
        }
        !self.bytes.is_empty()
    }

    /// Returns the position of a credential in the text, and the prefix that replaces it.
    fn credential(&self) -> Option<(usize, &'static str)> {
        let mut dot = None;
        (0..self.bytes.len()).find_map(|at| {
            let rest = &self.bytes[at..];
            if dot.is_none_or(|dot| dot < at) {
                let next = rest.iter().position(|byte| *byte == b'.');
                dot = Some(next.map_or(usize::MAX, |next| at + next));
            }
            let header_end = dot.filter(|dot| *dot < self.bytes.len());
            credential_start(rest, at == 0, header_end.map(|end| end - at))
                .map(|shown| (self.starts[at], shown))
        })
    }
}

fn credential_start(rest: &[u8], is_word: bool, header_end: Option<usize>) -> Option<&'static str> {
    let is_token = |start: &&str| {
        let (head, behind) = rest.split_at(start.len().min(rest.len()));
        head.eq_ignore_ascii_case(start.as_bytes()) && behind.len() >= TOKEN_REST
    };
    if let Some(start) = TOKENS.into_iter().find(is_token) {
        return Some(start);
    }
    let least = JWT.len() + JWT_REST;
    let length = if is_word { header_end.map(|_| rest.len()) } else { header_end };
    (rest.starts_with(JWT.as_bytes()) && length.is_some_and(|length| length >= least)).then_some(JWT)
}

/// Applies [`without_credentials`] to every string in a JSON value.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_stays_hidden_wherever_the_path_is_cut() {
        let secret = "AnEncodedSecretWithoutAnythingSpecial-Nor_So";
        for escape in ["%", "%25", "%2525"] {
            let encoded: String = secret.bytes().map(|byte| format!("{escape}{byte:02X}")).collect();
            let two = &encoded[..2 * escape.len() + 4];
            for length in 20..400 {
                let shown = path_without_secrets(&format!("/{}/{encoded}", "y".repeat(length)), 100);
                assert!(!shown.contains(two), "{length}: {shown}");
            }
        }
    }

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
            ("/notes/%20dwp_abcdefgh1", "/notes/%20dwp_…"),
            ("/%22dwp_abcdefgh1%22", "/%22dwp_…%22"),
            ("/%3Cdwr_abcdefgh1%3E/x", "/%3Cdwr_…%3E/x"),
            ("/Bearer%20eyJhbGciOiJFUzI1NiJ9%2Ee30.c2ln", "/Bearer%20eyJ…"),
            ("/%64wp%5Fabcd%65fgh1", "/dwp_…"),
            ("/%2564wp_abcdefgh1 %252564wp%25255Fabcdefgh1", "/dwp_… dwp_…"),
            ("/_dwp_abcdefgh1", "/_dwp_…"),
            ("kdwp_abcdefgh1 x", "kdwp_… x"),
            ("Dwp_abcdefgh1", "dwp_…"),
            ("tokeneyJhbGciOiJFUzI1NiJ9.e30.c2ln", "tokeneyJ…"),
            ("monkeyJungle.example.org", "monkeyJungle.example.org"),
            ("100%", "100%"),
            ("%2", "%2"),
            ("%25%2525", "%25%2525"),
            ("ä%C3%A4 %zz", "ä%C3%A4 %zz"),
        ] {
            assert_eq!(without_credentials(text), kept);
        }
    }

    #[test]
    fn path_hides_possible_secrets() {
        let secret = "Zt9secretZt9secretZt9secretZt9secretZt9secr";
        let encoded =
            |percent: &str| -> String { secret.bytes().map(|byte| format!("{percent}{byte:02X}")).collect() };
        let half = format!("%5A%74{}", &secret[2..]);
        for sent in [secret.to_owned(), encoded("%"), encoded("%25"), half] {
            for before in ["/set-password/", "/Set-Password/", "//setpassword/", "/set%2Dpassword%2F", "/"] {
                for behind in ["", "/", ".", "?", "%0A", "/x"] {
                    let shown = path_without_secrets(&format!("{before}{sent}{behind}"), 128);
                    assert!(!shown.contains("secret") && !shown.contains("65"), "{shown}");
                }
            }
        }
        let late = format!("/{}/{secret}", "a".repeat(490));
        assert_eq!(path_without_secrets(&late, 128), "/…/…");
        assert_eq!(path_without_secrets("/dwp_abcdefgh1/x", 128), "/dwp_…/x");
        for (path, shown) in [
            ("/api/v1/nowhere", "/api/v1/nowhere"),
            (
                "/api/v1/users/0192d7a0-0000-7000-8000-000000000000/x",
                "/api/v1/users/0192d7a0-0000-7000-8000-000000000000/x",
            ),
            ("/a\r\n\u{1b}ä", "/a????"),
            ("/%200192d7a0-0000-7000-8000-000000000000%20", "/%200192d7a0-0000-7000-8000-000000000000%20"),
            ("/%C3%A4%zz%", "/%C3%A4%zz%"),
        ] {
            assert_eq!(path_without_secrets(path, 128), shown);
        }
        assert_eq!(path_without_secrets(&"/a".repeat(1000), 128).len(), 128);
    }

    #[test]
    fn every_string_of_a_value_is_redacted() {
        let mut value = serde_json::json!({ "a": ["dwp_abcdefgh1", 1], "b": "plain" });
        redact(&mut value);
        assert_eq!(value, serde_json::json!({ "a": ["dwp_…", 1], "b": "plain" }));
    }
}
