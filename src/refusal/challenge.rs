//! The only writer of `WWW-Authenticate` (RFC 9110, section 11.6.1; RFC 6750, section 3; RFC 7617).

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use super::body::Content;
use super::code::Challenge;

const REALM: &str = "Bearer realm=\"doorward\"";
const BASIC: &str = "Basic realm=\"doorward\", charset=\"UTF-8\"";

/// Writes the challenges of a refusal. Tools also receive `Basic`: without it, wget, git and curl never send
/// their credentials. Browsers do not receive it, because they would show a password dialog.
pub(super) fn write(content: &Content, asked_by_tool: bool, headers: &mut HeaderMap) {
    let bearer = match content.code.challenge() {
        Challenge::Absent => None,
        Challenge::Bare => Some(REALM.to_owned()),
        Challenge::Error(error) => Some(format!("{REALM}, error=\"{error}\"{}", parameters(content))),
    };
    if let Some(Ok(value)) = bearer.map(|challenge| HeaderValue::from_str(&challenge)) {
        headers.append(WWW_AUTHENTICATE, value);
    }
    if asked_by_tool && content.code.status() == StatusCode::UNAUTHORIZED {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(BASIC));
    }
}

/// Writes the `Bearer` challenge of another dialect, with the realm of that dialect.
pub(super) fn write_realm(realm: &str, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(&format!("Bearer realm=\"{realm}\"")) {
        headers.insert(WWW_AUTHENTICATE, value);
    }
}

fn parameters(content: &Content) -> String {
    let quotable =
        |value: &str| value.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\');
    let shown = content.challenge_parameters.iter().filter(|(_, value)| quotable(value));
    shown.map(|(name, value)| format!(", {name}=\"{value}\"")).collect()
}
