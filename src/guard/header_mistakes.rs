//! Explains the most frequent mistakes in an `Authorization` header. The value may be a secret in the wrong
//! place, so no explanation repeats any of it.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// The schemes of other servers that clients may send: those in the IANA registry of HTTP authentication
/// schemes, and unregistered ones in use. No other text in place of a scheme is ever repeated.
const OTHER_SCHEMES: [&str; 22] = [
    "ApiKey",
    "AWS4-HMAC-SHA256",
    "Concealed",
    "Digest",
    "DPoP",
    "GNAP",
    "Hawk",
    "HOBA",
    "JWT",
    "Key",
    "MAC",
    "Mutual",
    "Negotiate",
    "NTLM",
    "OAuth",
    "PrivateToken",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
    "Signature",
    "SSWS",
    "Token",
    "vapid",
];

/// Words that programs insert for a variable that is empty or was never set.
const UNFILLED: [&str; 12] = [
    "undefined",
    "null",
    "none",
    "nil",
    "nan",
    "true",
    "false",
    "token",
    "access_token",
    "your_token",
    "your-token",
    "your_access_token",
];

/// Returns a known scheme, supported or not, as the registry spells it.
pub(super) fn scheme(word: &str) -> Option<&'static str> {
    let ours = ["Bearer", "Basic"].into_iter().find(|name| name.eq_ignore_ascii_case(word));
    ours.or_else(|| other_scheme(word))
}

/// Returns an unsupported scheme, as the registry spells it.
pub(super) fn other_scheme(word: &str) -> Option<&'static str> {
    OTHER_SCHEMES.into_iter().find(|name| name.eq_ignore_ascii_case(word))
}

/// Explains a header's value that does not begin with a supported scheme.
pub(super) fn of_value(text: &str) -> &'static str {
    let lower = text.get(..text.len().min(16)).unwrap_or_default().to_ascii_lowercase();
    let is_one_word = !text.contains([' ', '\t']);
    if is_quoted(text) {
        "The header's value is in quotation marks. Send `Bearer <token>` without them."
    } else if is_unfilled(text) {
        UNFILLED_VARIABLE
    } else if lower.starts_with("authorization:") {
        "The header's value repeats the header's name. Send only `Bearer <token>` as the value."
    } else if lower.starts_with("bearer") || lower.starts_with("basic") {
        "The scheme must be followed by one space. Send `Bearer <token>`."
    } else if is_one_word && !has_token_prefix(text) && decode_basic(text).is_some_and(|it| it.contains(':'))
    {
        "The word `Basic` is missing before the Base64 text. Send `Basic` and the Base64 encoding of \
         `username:token`."
    } else if is_one_word && looks_like_token(text) {
        "The word `Bearer` is missing before the token. Send `Bearer <token>`."
    } else if is_one_word {
        "The header contains one word and no scheme. Send `Bearer <token>`."
    } else {
        "The header does not start with a supported scheme. Send `Bearer <token>`, or `Basic` with a \
         personal access token as the password."
    }
}

/// Explains a known mistake in the text after `Bearer`. Returns `None` if the text has no such mistake.
pub(super) fn of_bearer(rest: &str) -> Option<&'static str> {
    let rest = rest.trim_ascii();
    if is_quoted(rest) {
        Some("The token is in quotation marks. Send `Bearer <token>` without them.")
    } else if rest.strip_prefix('<').is_some_and(has_token_prefix) {
        Some("The token is in angle brackets. Send `Bearer` and the token without them.")
    } else if is_unfilled(rest) {
        Some(UNFILLED_VARIABLE)
    } else if rest.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        Some("The word `Bearer` was sent twice. Send it once: `Bearer <token>`.")
    } else if rest.ends_with([',', ';']) {
        Some("A comma or semicolon follows the token. Send `Bearer <token>` and nothing after it.")
    } else if ends_with_escaped_line_break(rest) {
        Some(
            "An escaped line break follows the token. Remove it where the token is read, for example with `trim`.",
        )
    } else {
        None
    }
}

/// Decodes the text after `Basic` (RFC 7617, section 2). Returns `None` if it is not the Base64
/// encoding of UTF-8.
pub(super) fn decode_basic(encoded: &str) -> Option<String> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
    engine.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

/// Explains the text after `Basic` if it is not the Base64 encoding of a pair. `is_base64` is true if the
/// text is the Base64 encoding of UTF-8.
pub(super) fn of_basic(encoded: &str, is_base64: bool) -> &'static str {
    if is_quoted(encoded) {
        "The text after `Basic` is in quotation marks. Send it without them."
    } else if is_unfilled(encoded) {
        UNFILLED_VARIABLE
    } else if encoded.contains(':') {
        "The text after `Basic` is not Base64-encoded. Send the Base64 encoding of `username:token`."
    } else if is_base64 && !has_token_prefix(encoded) {
        "The text after `Basic` is the Base64 encoding of a text without a colon. Encode `username:token`, \
         with the username and the colon."
    } else if looks_like_token(encoded) {
        "A token follows `Basic`. Send it as `Bearer <token>`, or send the Base64 encoding of \
         `username:token`."
    } else {
        "The text after `Basic` is not the Base64 encoding of `username:token` in UTF-8."
    }
}

/// Explains a known mistake in the password of a Basic credential. Returns `None` if it has no such mistake.
pub(super) fn of_basic_token(token: &str) -> Option<&'static str> {
    if token.ends_with(['\n', '\r']) {
        Some(
            "The encoded text ends with a line break. Encode it without one: `printf` adds none, `echo` does.",
        )
    } else if is_quoted(token) {
        Some("The token is in quotation marks. Encode `username:token` without them.")
    } else if is_unfilled(token) {
        Some(UNFILLED_VARIABLE)
    } else {
        None
    }
}

const UNFILLED_VARIABLE: &str =
    "The header contains a placeholder instead of a token. Fill in the variable that the program sends.";

fn is_quoted(text: &str) -> bool {
    text.starts_with(['"', '\'', '`'])
}

/// Returns whether a string is an unfilled template, or a language's text for a missing value.
fn is_unfilled(text: &str) -> bool {
    let inner = |open: &str, close: &str| text.strip_prefix(open).is_some_and(|rest| rest.ends_with(close));
    let is_variable = text.strip_prefix('$').is_some_and(|name| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    });
    is_variable
        || [("${", "}"), ("{", "}"), ("<", ">"), ("%", "%"), ("[object ", "]")]
            .iter()
            .any(|(open, close)| inner(open, close))
        || UNFILLED.iter().any(|word| word.eq_ignore_ascii_case(text))
}

fn ends_with_escaped_line_break(text: &str) -> bool {
    [r"\n", r"\r", "%0A", "%0a", "%0D", "%0d"].iter().any(|escape| text.ends_with(escape))
}

/// Returns whether a word looks like a credential. It has a prefix of this server's tokens or of JWTs, or is
/// longer than a scheme.
fn looks_like_token(word: &str) -> bool {
    has_token_prefix(word) || word.len() >= 32
}

fn has_token_prefix(word: &str) -> bool {
    ["dwp_", "dwr_", "eyJ"].iter().any(|prefix| word.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_value_mistakes_are_named() {
        for (value, named) in [
            ("dwp_abc", "`Bearer` is missing"),
            ("eyJhbGciOi.x.y", "`Bearer` is missing"),
            ("hunter2", "one word"),
            ("YWxpY2U6aHVudGVyMg==", "`Basic` is missing"),
            ("YWxpY2U6YSBsb25nZXIgcGFzc3dvcmQgb2YgaGVycw", "`Basic` is missing"),
            ("\"Bearer abc\"", "quotation marks"),
            ("'Bearer abc'", "quotation marks"),
            ("${TOKEN}", "placeholder"),
            ("{{ token }}", "placeholder"),
            ("undefined", "placeholder"),
            ("Authorization: Bearer abc", "repeats the header"),
            ("Bearer:abc", "followed by one space"),
            ("Bearer: abc", "followed by one space"),
            ("bearerabc", "followed by one space"),
            ("correct horse battery", "does not start with a supported scheme"),
        ] {
            assert!(of_value(value).contains(named), "{value}: {}", of_value(value));
        }
    }

    #[test]
    fn bearer_token_mistakes_are_named() {
        for (rest, named) in [
            ("\"abc\"", "quotation marks"),
            ("Bearer abc", "sent twice"),
            ("bearer abc", "sent twice"),
            ("[object Object]", "placeholder"),
            ("<access token>", "placeholder"),
            ("<dwp_abc>", "angle brackets"),
            ("$TOKEN", "placeholder"),
            ("%TOKEN%", "placeholder"),
            ("null", "placeholder"),
            ("abc,", "comma"),
            ("abc;", "comma"),
            (r"abc\n", "line break"),
            ("abc%0A", "line break"),
        ] {
            assert!(of_bearer(rest).is_some_and(|text| text.contains(named)), "{rest}");
        }
        for plain in ["abc", "dwp_abc", "eyJ.a.b", "a b", "nullable"] {
            assert_eq!(of_bearer(plain), None, "{plain}");
        }
    }

    #[test]
    fn basic_mistakes_are_named() {
        for (encoded, named) in [
            ("alice:dwp_abc", "not Base64-encoded"),
            ("dwp_abc", "A token follows"),
            ("\"YWJj\"", "quotation marks"),
            ("${CREDENTIALS}", "placeholder"),
            ("!!!", "not the Base64 encoding"),
            ("/w==", "not the Base64 encoding"),
            ("bm9jb2xvbg==", "without a colon"),
            ("ZHdwX25vIGNvbG9uIGJlZm9yZSB0aGlzIHRva2Vu", "without a colon"),
        ] {
            let said = of_basic(encoded, decode_basic(encoded).is_some());
            assert!(said.contains(named), "{encoded}: {said}");
        }
        assert!(of_basic_token("dwp_abc\n").is_some_and(|text| text.contains("line break")));
        assert!(of_basic_token("'dwp_abc'").is_some_and(|text| text.contains("quotation marks")));
        assert!(of_basic_token("undefined").is_some_and(|text| text.contains("placeholder")));
        assert_eq!(of_basic_token("dwp_abc"), None);
    }

    #[test]
    fn only_known_schemes_are_repeated() {
        assert_eq!(other_scheme("digest"), Some("Digest"));
        assert_eq!(other_scheme("TOKEN"), Some("Token"));
        assert_eq!(other_scheme("hunter2"), None);
    }
}
