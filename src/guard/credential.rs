//! Reads the credential from a request and checks its format. It does not check whether the credential is
//! valid.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};

use super::check::Check;
use super::session_cookie::{self, SentCookie};
use super::{header_mistakes, refusals};
use crate::http::cookies::BrowserSettings;
use crate::refusal::{Code, Dialect, Refusal};
use crate::sessions::CookieDigest;
use crate::tokens::personal_token;

/// A credential as it was sent.
#[derive(Clone, PartialEq, Eq)]
pub enum SentCredential {
    /// `Authorization: Bearer …` (RFC 6750, section 2.1).
    Bearer(String),
    /// `Authorization: Basic …` (RFC 7617), with a personal access token as the password.
    Basic {
        /// The name of the token's alleged owner.
        username: String,
        /// The text sent as the password.
        token: String,
    },
    /// The session cookie, by the digest of its key.
    Cookie(CookieDigest),
}

impl SentCredential {
    /// Describes how the credential was sent.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Bearer(_) => "`Authorization: Bearer …`",
            Self::Basic { .. } => "`Authorization: Basic …`",
            Self::Cookie(_) => "the session cookie",
        }
        .to_owned()
    }
}

/// Returns the check that a refusal of [`read`] belongs to.
#[must_use]
pub fn check_of(code: Code) -> Check {
    match code {
        Code::SchemeUnsupported => Check::Kind,
        Code::TokenMalformed => Check::Form,
        Code::TokenUnknown => Check::Signature,
        _ => Check::Header,
    }
}

impl std::fmt::Debug for SentCredential {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Bearer(_) => "Bearer …",
            Self::Basic { .. } => "Basic …",
            Self::Cookie(_) => "Cookie …",
        })
    }
}

/// Reads the request's credential. A header takes precedence over a cookie, and an invalid header is refused
/// instead of being ignored.
///
/// # Errors
/// `credentials_missing`, `credentials_ambiguous`, `credentials_malformed`, `scheme_unsupported`. A cookie
/// that this server did not sign is `token_unknown`.
pub fn read(request: &HttpRequest, settings: &BrowserSettings) -> Result<SentCredential, Refusal> {
    if request.app_data::<Dialect>().is_some_and(|dialect| dialect.takes_cookie_alone()) {
        refuse_header(request.headers())?;
    } else if let Some(sent) = read_header(request.headers())? {
        return Ok(sent);
    }
    match session_cookie::read_cookie(request, settings) {
        SentCookie::Signed(digest) => Ok(SentCredential::Cookie(digest)),
        SentCookie::Forged => Err(refusals::cookie_unknown()),
        SentCookie::Missing => Err(missing(request)),
    }
}

/// Refuses any `Authorization` header. Browsers also add one to forms of other sites, and no page needs it.
fn refuse_header(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(header) = headers.get(AUTHORIZATION) else { return Ok(()) };
    let word = header.to_str().ok().and_then(|text| text.split_ascii_whitespace().next());
    let scheme = word.and_then(header_mistakes::scheme);
    let detail = "Pages accept only the session cookie, but an Authorization header was sent. Open the page \
                  without the header, or send the token to the API under /api/v1.";
    Err(Refusal::new(Code::SchemeUnsupported, detail).with("scheme", scheme))
}

/// Headers in which clients of other servers send their tokens.
const OTHER_HEADERS: [&str; 5] = ["authentication", "x-access-token", "x-api-key", "x-auth-token", "token"];
/// Query parameters in which clients of other servers send their tokens.
const OTHER_PARAMETERS: [&str; 5] = ["access_token", "api_key", "apikey", "auth_token", "token"];
/// The number of parameters that are searched for them.
const PARAMETERS_MAX: usize = 100;

fn missing(request: &HttpRequest) -> Refusal {
    let names = request.query_string().split('&').filter_map(|pair| pair.split('=').next());
    let mut names = names.take(PARAMETERS_MAX);
    let detail = if let Some(name) =
        OTHER_HEADERS.into_iter().find(|name| request.headers().contains_key(*name))
    {
        format!("The header `{name}` is not read. Send the token as `Authorization: Bearer <access token>`.")
    } else if names.any(|name| OTHER_PARAMETERS.contains(&name)) {
        "Tokens in the query string are not read, because URLs are logged on the way. Send the token as \
         `Authorization: Bearer <access token>`."
            .to_owned()
    } else {
        "No Authorization header was sent. Sign in at POST /api/v1/auth/login and send \
         `Authorization: Bearer <access token>`."
            .to_owned()
    };
    Refusal::new(Code::CredentialsMissing, detail)
}

/// Reads the `Authorization` header. Returns `None` if there is none.
///
/// # Errors
/// `credentials_ambiguous`, `credentials_malformed`, `scheme_unsupported`.
pub fn read_header(headers: &HeaderMap) -> Result<Option<SentCredential>, Refusal> {
    let mut sent = headers.get_all(AUTHORIZATION);
    let Some(header) = sent.next() else { return Ok(None) };
    if sent.next().is_some() {
        let detail = "More than one Authorization header was sent. Send exactly one.";
        return Err(Refusal::new(Code::CredentialsAmbiguous, detail));
    }
    // A header must be visible ASCII. Tokens are long enough that `is_ascii`, which compares whole machine
    // words, pays off.
    let text = std::str::from_utf8(header.as_bytes()).ok().filter(|text| text.is_ascii());
    let Some(text) = text else {
        return Err(malformed(
            "The Authorization header contains bytes that are not allowed in a header. Send visible ASCII.",
        ));
    };
    read_value(text.trim_ascii()).map(Some)
}

fn read_value(text: &str) -> Result<SentCredential, Refusal> {
    let (scheme, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    if scheme.is_empty() {
        return Err(malformed(
            "The Authorization header is empty. Send `Authorization: Bearer <access token>`.",
        ));
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        return read_bearer(rest);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(unsupported(text, scheme, rest));
    }
    let mut words = rest.split_ascii_whitespace();
    match (words.next(), words.next()) {
        (Some(encoded), None) => read_basic(encoded),
        _ => Err(malformed("`Basic` must be followed by one word, the Base64 encoding of `username:token`.")),
    }
}

fn read_bearer(rest: &str) -> Result<SentCredential, Refusal> {
    let mut words = rest.split_ascii_whitespace();
    let mistake = header_mistakes::of_bearer(rest);
    match (words.next(), words.next(), mistake) {
        (Some(token), None, None) => Ok(SentCredential::Bearer(token.to_owned())),
        (Some(_), None, Some(mistake)) => Err(Refusal::new(Code::TokenMalformed, mistake)),
        (None, ..) => Err(malformed("`Bearer` is not followed by a token. Send `Bearer <access token>`.")),
        (_, _, mistake) => Err(malformed(
            mistake.unwrap_or("`Bearer` is followed by more than one word. A token contains no spaces."),
        )),
    }
}

/// Returns whether the request has a credential.
#[must_use]
pub fn is_sent(request: &HttpRequest, settings: &BrowserSettings) -> bool {
    request.headers().contains_key(AUTHORIZATION)
        || session_cookie::read_cookie(request, settings) != SentCookie::Missing
}

fn read_basic(encoded: &str) -> Result<SentCredential, Refusal> {
    let decoded = header_mistakes::decode_basic(encoded);
    // Earlier versions allowed usernames with a colon, so a personal token is searched for from the right.
    let from_right = |text| str::rsplit_once(text, ':').filter(|(_, end)| personal_token::is_in_form(end));
    let pair = decoded.as_deref().and_then(|text| from_right(text).or_else(|| text.split_once(':')));
    let Some((username, token)) = pair else {
        return Err(malformed(header_mistakes::of_basic(encoded, decoded.is_some())));
    };
    if let Some(mistake) = header_mistakes::of_basic_token(token) {
        return Err(Refusal::new(Code::TokenMalformed, mistake));
    }
    Ok(SentCredential::Basic { username: username.to_owned(), token: token.to_owned() })
}

fn malformed(detail: &str) -> Refusal {
    Refusal::new(Code::CredentialsMalformed, detail)
}

/// Refuses an unsupported scheme. The scheme is repeated only if it is a known one followed by something.
/// Anything else may be a secret.
fn unsupported(value: &str, scheme: &str, rest: &str) -> Refusal {
    let known = header_mistakes::other_scheme(scheme).filter(|_| !rest.trim_ascii().is_empty());
    let detail = match known {
        Some(name) => format!(
            "The scheme `{name}` is not supported. Send `Bearer <token>`, or `Basic` with a personal access \
             token as the password."
        ),
        None => header_mistakes::of_value(value).to_owned(),
    };
    Refusal::new(Code::SchemeUnsupported, detail).with("scheme", known)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn read_one(value: &[u8]) -> Result<Option<SentCredential>, Code> {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).expect("a header value"));
        read_header(&headers).map_err(|refusal| refusal.code())
    }

    #[test]
    fn scheme_is_case_insensitive() {
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            assert_eq!(
                read_one(format!("{scheme} abc").as_bytes()),
                Ok(Some(SentCredential::Bearer("abc".into())))
            );
        }
    }

    #[test]
    fn sent_credential_is_described_but_never_shown() {
        let basic = SentCredential::Basic { username: "alice".into(), token: "secret".into() };
        for (sent, words, debug) in [
            (SentCredential::Bearer("secret".into()), "`Authorization: Bearer …`", "Bearer …"),
            (basic, "`Authorization: Basic …`", "Basic …"),
            (SentCredential::Cookie(CookieDigest::of("key")), "the session cookie", "Cookie …"),
        ] {
            assert_eq!((sent.in_words().as_str(), format!("{sent:?}").as_str()), (words, debug));
        }
    }

    #[test]
    fn each_refusal_belongs_to_its_check() {
        assert_eq!(check_of(Code::SchemeUnsupported), Check::Kind);
        assert_eq!(check_of(Code::TokenUnknown), Check::Signature, "of a cookie that is not ours");
        assert_eq!(check_of(Code::CredentialsMissing), Check::Header);
    }

    #[test]
    fn missing_token_is_distinguished_from_two_words() {
        let detail = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            read_header(&headers).expect_err("a refusal").detail().to_owned()
        };
        assert!(detail("Bearer").contains("not followed by a token"));
        assert!(detail("Bearer a b").contains("more than one word"));
    }

    #[test]
    fn each_malformed_header_has_its_code() {
        assert_eq!(read_header(&HeaderMap::new()).map_err(|p| p.code()), Ok(None));
        for (value, code) in [
            (&b"Bearer"[..], Code::CredentialsMalformed),
            (b"Bearer ", Code::CredentialsMalformed),
            (b"Bearer a b", Code::CredentialsMalformed),
            (b"", Code::CredentialsMalformed),
            (b"Bearer \xff\xfe", Code::CredentialsMalformed),
            (b"Basic !!!", Code::CredentialsMalformed),
            (b"Basic bm9jb2xvbg==", Code::CredentialsMalformed),
            (b"Basic /w==", Code::CredentialsMalformed),
            (b"Basic", Code::CredentialsMalformed),
            (b"Token abc", Code::SchemeUnsupported),
            (b"abc", Code::SchemeUnsupported),
            (b"Digest username=\"x\"", Code::SchemeUnsupported),
        ] {
            assert_eq!(read_one(value), Err(code), "{}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn two_headers_are_refused_even_if_equal() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        assert_eq!(read_header(&headers).map_err(|p| p.code()), Err(Code::CredentialsAmbiguous));
    }

    #[test]
    fn basic_is_read_with_and_without_padding_and_keeps_colons() {
        let expected = Some(SentCredential::Basic { username: "al".into(), token: "dwp_x:y".into() });
        assert_eq!(read_one(b"Basic YWw6ZHdwX3g6eQ=="), Ok(expected.clone()));
        assert_eq!(read_one(b"basic YWw6ZHdwX3g6eQ"), Ok(expected));
    }

    #[test]
    fn unknown_words_are_never_repeated() {
        for secret in [
            "dwp_4Zt9secret",
            "dwr_4Zt9secret",
            "eyJhbGci.secret.x",
            "secret",
            "secret battery staple",
            "\"Bearer secret\"",
            "Bearer:secret",
            "Bearersecret",
            "Bearer secret,",
            "Bearer secret other",
            "Bearer Bearer secret",
            "Basic alice:secret",
            "Basic secret",
        ] {
            let mut headers = HeaderMap::new();
            headers.append(AUTHORIZATION, HeaderValue::from_str(secret).expect("a header value"));
            let refusal = read_header(&headers).expect_err("a refusal");
            let shown = format!("{}{:?}", refusal.detail(), refusal.members());
            assert!(!shown.contains("secret") && !shown.contains("battery"), "{secret}: {shown}");
        }
    }

    #[test]
    fn known_schemes_are_named() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_static("token abc"));
        let refusal = read_header(&headers).expect_err("not a scheme of ours");
        assert!(refusal.detail().contains("`Token`"), "{}", refusal.detail());
        assert_eq!(refusal.members()["scheme"], "Token");
    }
}
