//! Parses text that someone pasted to have it explained: a token, an `Authorization` header, a whole request,
//! a token response, or a curl command line.

use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Value;
use uuid::Uuid;

use super::curl::Curl;
use crate::guard::credential::{self, SentCredential};
use crate::refusal::{Code, Refusal};
use crate::sessions::refresh_token;

/// The result of parsing.
pub struct Pasted {
    pub credential: Result<PastedCredential, Refusal>,
    /// The request that the credential was sent with, if the text contains it.
    pub target: Option<Target>,
}

/// A credential that was pasted.
pub enum PastedCredential {
    /// A credential for a guarded endpoint.
    Sent(SentCredential),
    /// A refresh token for `POST /api/v1/auth/refresh`.
    RefreshToken(String),
}

/// The maximum length of a path, in bytes. Explanations repeat the path.
pub const PATH_MAX: usize = 2_000;
/// The maximum length of a method, in bytes.
pub const METHOD_MAX: usize = 32;

/// The request to explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub method: Method,
    /// The path, without host and query.
    pub path: String,
}

/// Parses pasted text.
#[must_use]
pub fn read(text: &str) -> Pasted {
    // An editor or a shell may have added a byte order mark.
    let text = text.trim().trim_start_matches('\u{feff}').trim_start();
    let first = text.split_whitespace().next().unwrap_or_default();
    if first == "curl" || first.ends_with("/curl") {
        return read_curl(text);
    }
    if let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) {
        return alone(of_members(|name| members.get(name)?.as_str().map(str::to_owned)));
    }
    if let Some(value) = header_line(text, "authorization") {
        return Pasted { credential: of_header(value), target: request_line(first, text) };
    }
    if text.split_whitespace().nth(1).is_some() {
        return alone(of_header(text));
    }
    alone(Ok(bare(text)))
}

/// Returns the request ID in a pasted text: the ID alone, also as a URN (RFC 9562, section 4); a refusal, with
/// the headers of its response or without; or the header `X-Request-Id`. A text with a credential is about that.
pub(super) fn request_id(text: &str) -> Option<Uuid> {
    let id = |text: &str| Uuid::try_parse(text.trim().trim_start_matches("urn:uuid:")).ok();
    if let Some(found) = id(text) {
        return Some(found);
    }
    if let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) {
        let has_token = TOKEN_MEMBERS.iter().any(|name| members.contains_key(*name));
        return members.get("request_id").filter(|_| !has_token).and_then(|value| id(value.as_str()?));
    }
    let first = text.split_whitespace().next().unwrap_or_default();
    let is_response = first.starts_with("HTTP/") || first.eq_ignore_ascii_case("x-request-id:");
    if !is_response || header_line(text, "authorization").is_some() {
        return None;
    }
    header_line(text, "x-request-id").and_then(id)
}

/// The members of a body that hold a token, in the order in which they are looked for.
const TOKEN_MEMBERS: [&str; 3] = ["access_token", "token", "refresh_token"];

fn alone(credential: Result<PastedCredential, Refusal>) -> Pasted {
    Pasted { credential, target: None }
}

/// Treats a token without a header as sent to the endpoint for its type.
fn bare(token: &str) -> PastedCredential {
    if token.starts_with(refresh_token::PREFIX) {
        PastedCredential::RefreshToken(token.to_owned())
    } else {
        PastedCredential::Sent(SentCredential::Bearer(token.to_owned()))
    }
}

fn missing() -> Refusal {
    let detail = "The text contains no credential. Paste a token, an Authorization header, or the curl \
                  command line with it.";
    Refusal::new(Code::CredentialsMissing, detail)
}

/// Returns the token in the members of a token response or a request body.
fn of_members(member: impl Fn(&str) -> Option<String>) -> Result<PastedCredential, Refusal> {
    let token = TOKEN_MEMBERS.into_iter().find_map(member);
    token.map(|token| bare(&token)).ok_or_else(missing)
}

fn of_header(value: &str) -> Result<PastedCredential, Refusal> {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(AUTHORIZATION, value);
    }
    credential::read_header(&headers)?.map(PastedCredential::Sent).ok_or_else(missing)
}

/// Returns the value of a header among lines of text. `header` is in lower case.
fn header_line<'a>(text: &'a str, header: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case(header).then(|| value.trim())
    })
}

/// Parses `GET /path HTTP/1.1` (RFC 9112, section 3). The version may be missing.
fn request_line(method: &str, text: &str) -> Option<Target> {
    let path = text.lines().next()?.split_whitespace().nth(1)?;
    target(method, path)
}

fn target(method: &str, address: &str) -> Option<Target> {
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => address,
    };
    let path = path.split(['?', '#']).next().filter(|path| path.starts_with('/'))?;
    if path.len() > PATH_MAX || method.as_str().len() > METHOD_MAX {
        return None;
    }
    Some(Target { method, path: path.to_owned() })
}

fn read_curl(text: &str) -> Pasted {
    let Some(curl) = Curl::read(text) else {
        let detail = "The command line has an unclosed quotation mark. Paste all of it.";
        return alone(Err(Refusal::new(Code::CredentialsMalformed, detail)));
    };
    let header = curl.headers.iter().rev().find_map(|line| header_line(line, "authorization"));
    let credential = match (header, &curl.data) {
        (Some(value), _) => of_header(value),
        (None, Some(data)) => of_body(data),
        (None, None) => Err(missing()),
    };
    let target = curl.address.as_deref().and_then(|address| target(curl.method(), address));
    Pasted { credential, target }
}

fn of_body(data: &str) -> Result<PastedCredential, Refusal> {
    match serde_json::from_str::<Value>(data) {
        Ok(Value::Object(members)) => of_members(|name| members.get(name)?.as_str().map(str::to_owned)),
        _ => Err(missing()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(text: &str) -> Option<String> {
        match read(text).credential {
            Ok(PastedCredential::Sent(SentCredential::Bearer(token))) => Some(token),
            _ => None,
        }
    }

    #[test]
    fn token_is_found_in_every_pasted_form() {
        for text in [
            "abc.def.ghi",
            "  abc.def.ghi\n",
            "\u{feff}abc.def.ghi",
            "Bearer abc.def.ghi",
            "authorization: bearer abc.def.ghi",
            "GET /api/v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer abc.def.ghi\r\n",
            "{\"access_token\": \"abc.def.ghi\", \"refresh_token\": \"dwr_x\"}",
            "curl -i -H 'Authorization: Bearer abc.def.ghi' http://x/api/v1/me",
            "curl --header \"Authorization: Bearer abc.def.ghi\" \\\n  http://x/api/v1/me",
            "curl -sSH'Authorization: Bearer abc.def.ghi' http://x",
            "/usr/bin/curl --oauth2-bearer abc.def.ghi http://x",
        ] {
            assert_eq!(bearer(text).as_deref(), Some("abc.def.ghi"), "{text}");
        }
    }

    #[test]
    fn request_of_a_pasted_command_line_is_parsed() {
        let target =
            |text: &str| read(text).target.map(|target| format!("{} {}", target.method, target.path));
        let header = "-H 'Authorization: Bearer x'";
        assert_eq!(
            target(&format!("curl {header} http://h:1/api/v1/me?x=1")).as_deref(),
            Some("GET /api/v1/me")
        );
        assert_eq!(target(&format!("curl -XPUT {header} https://h/a")).as_deref(), Some("PUT /a"));
        assert_eq!(target(&format!("curl {header} -d '{{}}' https://h/a")).as_deref(), Some("POST /a"));
        assert_eq!(
            target(&format!("curl -sX DELETE {header} -o out https://h")).as_deref(),
            Some("DELETE /")
        );
        for (options, found) in [
            ("-I https://h/a", "HEAD /a"),
            ("--head https://h/a", "HEAD /a"),
            ("-sI https://h/a", "HEAD /a"),
            ("-IX GET https://h/a", "GET /a"),
            ("-d {} https://h/a", "POST /a"),
            ("-Gd x=1 https://h/a", "GET /a"),
            ("--data-urlencode x=1 https://h/a", "POST /a"),
            ("-F file=@x https://h/a", "POST /a"),
            ("-T x https://h/a", "PUT /a"),
            ("--url https://h/a", "GET /a"),
            ("localhost:8000/a?b", "GET /a"),
            ("localhost:8000", "GET /"),
            // The value of another option is not the URL, whatever it looks like.
            ("https://h/a -o out", "GET /a"),
            ("-o /tmp/out https://h/a", "GET /a"),
            ("https://h/a -sSo /tmp/out", "GET /a"),
            ("-xhttp://proxy/b --referer https://b/b https://h/a", "GET /a"),
            ("-e https://b/b -A 'bot (+http://b/b)' https://h/a", "GET /a"),
            ("https://h/a https://h/b", "GET /a"),
            ("--silent https://h/a -o out", "GET /a"),
            ("--compressed localhost:8000/a", "GET /a"),
        ] {
            assert_eq!(target(&format!("curl {options} {header}")).as_deref(), Some(found), "{options}");
        }
        assert_eq!(target("GET /a HTTP/1.1\nAuthorization: Bearer x").as_deref(), Some("GET /a"));
        assert_eq!(target("Bearer x"), None);
        let long = format!("curl {header} http://h/{}", "a".repeat(PATH_MAX));
        assert_eq!((target(&long), bearer(&long).as_deref()), (None, Some("x")));
    }

    #[test]
    fn request_id_is_found_unless_a_credential_was_pasted_too() {
        let id = "0192d7a0-0000-7000-8000-000000000000";
        let found = |text: &str| request_id(text).map(|id| id.to_string());
        for text in [
            id.to_owned(),
            format!("urn:uuid:{id}"),
            format!("{{\"code\": \"session_ended\", \"request_id\": \"{id}\"}}"),
            format!("HTTP/1.1 401 Unauthorized\r\nx-request-id: {id}\r\n\r\n{{}}"),
            format!("X-Request-Id: {id}"),
        ] {
            assert_eq!(found(&text).as_deref(), Some(id), "{text}");
        }
        for text in [
            format!("{{\"access_token\": \"a.b.c\", \"request_id\": \"{id}\"}}"),
            format!("X-Request-Id: {id}\nAuthorization: Bearer a.b.c"),
            format!("curl -H 'X-Request-Id: {id}' http://h"),
            format!("{{\"request_id\": 1, \"instance\": \"{id}\"}}"),
            "a.b.c".to_owned(),
            String::new(),
        ] {
            assert_eq!(found(&text), None, "{text}");
        }
    }

    #[test]
    fn refresh_token_is_recognized_except_in_a_bearer_header() {
        let is_refresh = |text| matches!(read(text).credential, Ok(PastedCredential::RefreshToken(token)) if token == "dwr_x");
        assert!(is_refresh("dwr_x"));
        assert!(is_refresh("curl --json '{\"refresh_token\":\"dwr_x\"}' http://h/api/v1/auth/refresh"));
        // A refresh token sent as a bearer token has the wrong type. The explanation must say so.
        assert_eq!(bearer("Bearer dwr_x").as_deref(), Some("dwr_x"));
    }

    #[test]
    fn basic_is_read_from_its_option_and_bad_input_has_its_code() {
        let basic = read("curl -u alice:dwp_y http://h").credential;
        let expected = SentCredential::Basic { username: "alice".into(), token: "dwp_y".into() };
        assert!(matches!(basic, Ok(PastedCredential::Sent(sent)) if sent == expected));
        for (text, code) in [
            ("curl http://h", Code::CredentialsMissing),
            ("curl 'http://h", Code::CredentialsMalformed),
            ("{\"a\": 1}", Code::CredentialsMissing),
            ("Token abc", Code::SchemeUnsupported),
        ] {
            assert_eq!(read(text).credential.err().map(|refusal| refusal.code()), Some(code), "{text}");
        }
    }

    proptest! {
        #[test]
        fn pasted_text_never_panics(text in "(curl )?[\\PC '\"\\\\-]{0,200}") {
            let _ = (read(&text), request_id(&text));
        }
    }
}
