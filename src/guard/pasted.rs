//! What somebody pasted to have it explained: a token by itself, an `Authorization` header, a whole request, a token
//! answer, or a curl command line.

use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::credential::{self, Sent};
use crate::problem::{Code, Problem};
use crate::sessions::refresh_token;

/// What was found in it.
pub struct Pasted {
    /// The credential.
    pub credential: Result<PastedCredential, Problem>,
    /// The request that it was sent with, where that stands there too.
    pub target: Option<Target>,
}

/// A credential that was pasted.
pub enum PastedCredential {
    /// As a guarded endpoint takes it.
    Sent(Sent),
    /// A refresh token, which `POST /api/v1/auth/refresh` takes.
    RefreshToken(String),
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The method.
    pub method: Method,
    /// The path, without host and query.
    pub path: String,
}

/// Reads what was pasted.
#[must_use]
pub fn read(text: &str) -> Pasted {
    let text = text.trim();
    let first = text.split_whitespace().next().unwrap_or_default();
    if first == "curl" || first.ends_with("/curl") {
        return read_curl(text);
    }
    if let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) {
        return alone(of_members(|name| members.get(name)?.as_str().map(str::to_owned)));
    }
    if let Some(value) = header_line(text) {
        return Pasted { credential: of_header(value), target: request_line(first, text) };
    }
    if text.split_whitespace().nth(1).is_some() {
        return alone(of_header(text));
    }
    alone(Ok(bare(text)))
}

fn alone(credential: Result<PastedCredential, Problem>) -> Pasted {
    Pasted { credential, target: None }
}

/// A token by itself is taken for what it belongs to.
fn bare(token: &str) -> PastedCredential {
    if token.starts_with(refresh_token::PREFIX) {
        PastedCredential::RefreshToken(token.to_owned())
    } else {
        PastedCredential::Sent(Sent::Bearer(token.to_owned()))
    }
}

fn missing() -> Problem {
    let detail = "No credential stands in what was pasted. Paste a token, an Authorization header, or the curl command \
                  line with it.";
    Problem::new(Code::CredentialsMissing, detail)
}

/// The token of a token answer or of a request's body.
fn of_members(member: impl Fn(&str) -> Option<String>) -> Result<PastedCredential, Problem> {
    let token = ["access_token", "token", "refresh_token"].into_iter().find_map(member);
    token.map(|token| bare(&token)).ok_or_else(missing)
}

fn of_header(value: &str) -> Result<PastedCredential, Problem> {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(AUTHORIZATION, value);
    }
    credential::read_header(&headers)?.map(PastedCredential::Sent).ok_or_else(missing)
}

/// The value of the `Authorization` header among lines of text.
fn header_line(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("authorization").then(|| value.trim())
    })
}

/// `GET /path HTTP/1.1` (RFC 9112, section 3), or the same without its version.
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
    Some(Target { method, path: path.to_owned() })
}

/// What a curl command line says, as far as it matters here.
#[derive(Default)]
struct Curl {
    header: Option<String>,
    data: Option<String>,
    method: Option<String>,
    address: Option<String>,
}

fn read_curl(text: &str) -> Pasted {
    let Some(words) = shlex::split(text) else {
        let detail = "The command line has a quotation mark without its other; paste it whole.";
        return alone(Err(Problem::new(Code::CredentialsMalformed, detail)));
    };
    let curl = Curl::read(words.into_iter().skip(1));
    let method = curl.method.as_deref().unwrap_or(if curl.data.is_some() { "POST" } else { "GET" });
    let target = curl.address.as_deref().and_then(|address| target(method, address));
    let credential = match (&curl.header, &curl.data) {
        (Some(header), _) => of_header(header),
        (None, Some(data)) => of_body(data),
        (None, None) => Err(missing()),
    };
    Pasted { credential, target }
}

fn of_body(data: &str) -> Result<PastedCredential, Problem> {
    match serde_json::from_str::<Value>(data) {
        Ok(Value::Object(members)) => of_members(|name| members.get(name)?.as_str().map(str::to_owned)),
        _ => Err(missing()),
    }
}

impl Curl {
    fn read(mut words: impl Iterator<Item = String>) -> Self {
        let mut curl = Self::default();
        while let Some(word) = words.next() {
            let (option, attached) = split_option(&word);
            let mut value = || attached.map(str::to_owned).or_else(|| words.next());
            match option {
                "-H" | "--header" => curl.take_header(&value().unwrap_or_default()),
                "-u" | "--user" => {
                    curl.header = Some(format!("Basic {}", STANDARD.encode(value().unwrap_or_default())));
                }
                "--oauth2-bearer" => curl.header = Some(format!("Bearer {}", value().unwrap_or_default())),
                "-X" | "--request" => curl.method = value(),
                "-d" | "--data" | "--data-raw" | "--data-binary" | "--data-ascii" | "--json" => {
                    curl.data = value()
                }
                "-I" | "--head" => curl.method = Some("HEAD".to_owned()),
                "--url" => curl.address = value(),
                _ if word.contains("://") || word.starts_with('/') => curl.address = Some(word),
                _ => {}
            }
        }
        curl
    }

    fn take_header(&mut self, line: &str) {
        if let Some(value) = header_line(line) {
            self.header = Some(value.to_owned());
        }
    }
}

/// A short option may carry its value (`-XPUT`), and stand behind others that have none (`-sSX`, `-iH`).
fn split_option(word: &str) -> (&str, Option<&str>) {
    const VALUED: [(char, &str); 4] = [('H', "-H"), ('u', "-u"), ('X', "-X"), ('d', "-d")];
    const BARE: &str = "sSivkLgfN";
    let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.starts_with('-')) else {
        return (word, None);
    };
    let Some(at) = letters.find(|letter| !BARE.contains(letter)) else { return (word, None) };
    let found = VALUED.iter().find(|(letter, _)| letters[at..].starts_with(*letter));
    match (found, &letters[at..]) {
        (Some((_, option)), rest) => (option, Some(&rest[1..]).filter(|value| !value.is_empty())),
        (None, "I") => ("-I", None),
        (None, _) => (word, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(text: &str) -> Option<String> {
        match read(text).credential {
            Ok(PastedCredential::Sent(Sent::Bearer(token))) => Some(token),
            _ => None,
        }
    }

    #[test]
    fn a_token_is_found_however_it_is_pasted() {
        for text in [
            "abc.def.ghi",
            "  abc.def.ghi\n",
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
    fn the_request_of_a_command_line_is_found_with_it() {
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
        assert_eq!(target("GET /a HTTP/1.1\nAuthorization: Bearer x").as_deref(), Some("GET /a"));
        assert_eq!(target("Bearer x"), None);
    }

    #[test]
    fn a_refresh_token_is_told_by_where_it_was_sent() {
        let is_refresh = |text| matches!(read(text).credential, Ok(PastedCredential::RefreshToken(token)) if token == "dwr_x");
        assert!(is_refresh("dwr_x"));
        assert!(is_refresh("curl --json '{\"refresh_token\":\"dwr_x\"}' http://h/api/v1/auth/refresh"));
        // Sent as a bearer it is the wrong one of the two, and that is what is explained.
        assert_eq!(bearer("Bearer dwr_x").as_deref(), Some("dwr_x"));
    }

    #[test]
    fn basic_is_read_from_its_option_and_nothing_from_nothing() {
        let basic = read("curl -u alice:dwp_y http://h").credential;
        let expected = Sent::Basic { username: "alice".into(), token: "dwp_y".into() };
        assert!(matches!(basic, Ok(PastedCredential::Sent(sent)) if sent == expected));
        for (text, code) in [
            ("curl http://h", Code::CredentialsMissing),
            ("curl 'http://h", Code::CredentialsMalformed),
            ("{\"a\": 1}", Code::CredentialsMissing),
            ("Token abc", Code::SchemeUnsupported),
        ] {
            assert_eq!(read(text).credential.err().map(|problem| problem.code()), Some(code), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_pasted_is_read_without_a_panic(text in "(curl )?[\\PC '\"\\\\-]{0,200}") {
            let _ = read(&text);
        }
    }
}
