//! Reads and writes the session cookie, through actix-session. The cookie carries a signed random key. The
//! session behind it is a row like any other. The sign-in's transaction writes it, the guard reads it, and
//! ending the session ends it.
//!
//! The store therefore only passes the key between cookie and request, and cannot fail.

use std::collections::HashMap;
use std::time::Duration;

use actix_session::config::{BrowserSession, CookieContentSecurity};
use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_session::{SessionExt, SessionMiddleware};
use actix_web::body::MessageBody;
use actix_web::cookie::{Key, SameSite, time};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::http::cookies::{BrowserSettings, THEME_COOKIE, THEMES};
use crate::random;
use crate::sessions::renewal::CookieLifetime;
use crate::sessions::{CookieDigest, CookieKey};
use crate::state::State;

/// The name of the key in actix-session's state.
const KEY: &str = "key";

/// The key of a new session cookie.
#[derive(Clone, Debug)]
pub struct NewSessionCookie {
    text: String,
}

impl NewSessionCookie {
    /// Generates a random key of 32 bytes.
    #[must_use]
    pub fn generate() -> Self {
        Self { text: URL_SAFE_NO_PAD.encode(random::bytes::<32>()) }
    }

    /// Returns the digest that the database stores.
    #[must_use]
    pub fn digest(&self) -> CookieDigest {
        CookieDigest::of(&self.text)
    }
}

/// A session cookie as it was sent.
#[derive(Clone, PartialEq, Eq)]
pub enum SentCookie {
    /// No cookie was sent.
    Missing,
    /// The cookie's signature is invalid.
    Forged,
    /// The cookie's signature is valid. The value is the digest of its key.
    Signed(CookieDigest),
}

/// Returns the request's session cookie.
#[must_use]
pub fn read_cookie(request: &HttpRequest, settings: &BrowserSettings) -> SentCookie {
    let kept = request.extensions().get::<SentCookie>().cloned();
    if let Some(sent) = kept {
        return sent;
    }
    match request.get_session().get::<String>(KEY) {
        Ok(Some(key)) => SentCookie::Signed(CookieDigest::of(&key)),
        _ if request.cookie(&settings.session_cookie()).is_some() => SentCookie::Forged,
        _ => SentCookie::Missing,
    }
}

/// Keeps the session cookie of a request that was refused, for the error page. When that page is written,
/// actix-session has already taken the cookie.
pub(crate) fn keep_sent(request: &HttpRequest, settings: &BrowserSettings) {
    let sent = read_cookie(request, settings);
    request.extensions_mut().insert(sent);
}

/// Sets the cookie of a session that was just started or renewed. The browser keeps it for `kept` after it is
/// closed.
pub fn set_cookie(
    request: &HttpRequest,
    answer: &mut HttpResponse,
    cookie: &NewSessionCookie,
    kept: Option<Duration>,
) {
    let session = request.get_session();
    session.renew();
    // Converting a string to JSON cannot fail.
    let _ = session.insert(KEY, &cookie.text);
    if let Some(kept) = kept {
        answer.extensions_mut().insert(PersistentFor(kept));
    }
}

/// Returns for how long the browser keeps a session's new cookie after it is closed, as requested at the
/// sign-in.
#[must_use]
pub fn cookie_max_age(settings: &BrowserSettings, kept: CookieLifetime) -> Option<Duration> {
    let is_kept = kept.is_kept.unwrap_or(kept.idle_ttl > settings.idle_ttl);
    is_kept.then_some(kept.left)
}

/// Removes the cookie from the browser.
pub fn delete_cookie(request: &HttpRequest) {
    request.get_session().purge();
}

/// Marks a response whose cookie the browser keeps after it is closed, for this long.
#[derive(Clone, Copy)]
struct PersistentFor(Duration);

/// The number of this server's cookies that a request may send. Parsing takes some hundred bytes of memory
/// per cookie.
const COOKIES_MAX: usize = 8;
/// The maximum size of one of this server's cookies, in bytes.
const COOKIE_BYTES_MAX: usize = 4_096;

/// Drops cookies that are not this server's. A request may carry thousands, and a malformed one would hide
/// this server's.
fn drop_foreign_cookies(headers: &mut HeaderMap, ours: &[String]) {
    let is_ours = |cookie: &&[u8]| {
        let is_named = |own: &String| {
            let rest = cookie.strip_prefix(own.as_bytes()).map(<[u8]>::trim_ascii_start);
            rest.is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'='))
        };
        cookie.len() <= COOKIE_BYTES_MAX && ours.iter().any(is_named)
    };
    let lines = headers.get_all(COOKIE).map(HeaderValue::as_bytes);
    let sent = lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    let theme = sent.clone().find(|cookie| is_theme(cookie));
    let kept: Vec<&[u8]> = sent.filter(is_ours).take(COOKIES_MAX).chain(theme).collect();
    let kept = HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok().filter(|value| !value.is_empty());
    match kept {
        Some(kept) => drop(headers.insert(COOKIE, kept)),
        None => drop(headers.remove(COOKIE)),
    }
}

/// Returns true for a cookie with a choice of colours. It is compared as a whole: its name has no prefix, so a
/// neighbouring host could set a malformed one, which would hide this server's others.
fn is_theme(cookie: &[u8]) -> bool {
    let value = cookie.strip_prefix(THEME_COOKIE.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
    value.is_some_and(|value| THEMES.iter().any(|theme| theme.as_bytes() == value))
}

/// Middleware: drops foreign cookies from the request, and adds the lifetime requested at the sign-in to the
/// response's cookie. actix-session supports only one lifetime for all cookies.
pub async fn keep<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let ours = request.app_data::<web::Data<State>>().map(|state| state.web.browser.cookie_names());
    if let Some(ours) = ours.filter(|_| request.headers().contains_key(COOKIE)) {
        drop_foreign_cookies(request.headers_mut(), &ours);
    }
    let mut response = next.call(request).await?;
    let kept = response.response().extensions().get::<PersistentFor>().copied();
    if let Some(PersistentFor(kept)) = kept {
        let cookies: Vec<HeaderValue> = response.headers_mut().remove(SET_COOKIE).collect();
        for cookie in cookies {
            let text = cookie.to_str().map(|text| format!("{text}; Max-Age={}", kept.as_secs()));
            let longer = text.ok().and_then(|text| HeaderValue::from_str(&text).ok());
            response.headers_mut().append(SET_COOKIE, longer.unwrap_or(cookie));
        }
    }
    Ok(response)
}

/// Creates the middleware that reads and writes the cookie.
#[must_use]
pub fn middleware(settings: &BrowserSettings, key: &CookieKey) -> SessionMiddleware<CookieStore> {
    SessionMiddleware::builder(CookieStore, Key::from(key.expose()))
        .cookie_name(settings.session_cookie())
        .cookie_content_security(CookieContentSecurity::Signed)
        .cookie_secure(settings.secure)
        .cookie_http_only(true)
        .cookie_same_site(SameSite::Lax)
        .cookie_path("/".to_owned())
        .session_lifecycle(BrowserSession::default())
        .build()
}

/// A store that keeps nothing. It passes the key from the cookie to the request and back.
pub struct CookieStore;

impl SessionStore for CookieStore {
    async fn load(&self, key: &SessionKey) -> Result<Option<HashMap<String, String>>, LoadError> {
        let text = serde_json::Value::from(key.as_ref()).to_string();
        Ok(Some(HashMap::from([(KEY.to_owned(), text)])))
    }

    async fn save(
        &self,
        state: HashMap<String, String>,
        _: &time::Duration,
    ) -> Result<SessionKey, SaveError> {
        let key = state.get(KEY).and_then(|text| serde_json::from_str::<String>(text).ok());
        let key = key.and_then(|key| SessionKey::try_from(key).ok());
        key.ok_or_else(|| SaveError::Other(std::io::Error::other("a session without a key").into()))
    }

    async fn update(
        &self,
        _: SessionKey,
        state: HashMap<String, String>,
        ttl: &time::Duration,
    ) -> Result<SessionKey, UpdateError> {
        self.save(state, ttl).await.map_err(|error| UpdateError::Other(error.into()))
    }

    async fn update_ttl(&self, _: &SessionKey, _: &time::Duration) -> anyhow::Result<()> {
        Ok(())
    }

    /// The caller's transaction has already ended the session.
    async fn delete(&self, _: &SessionKey) -> anyhow::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(lines: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).expect("header text"));
        }
        drop_foreign_cookies(&mut headers, &["doorward".to_owned(), "doorward-form".to_owned()]);
        headers.get_all(COOKIE).map(|line| line.to_str().expect("ASCII").to_owned()).collect()
    }

    #[test]
    fn only_cookies_of_doorward_are_read() {
        assert_eq!(
            kept(&["a=1; doorward=x;doorward-form = y ;;broken", "doorward=z"]),
            ["doorward=x; doorward-form = y; doorward=z"]
        );
        assert!(kept(&["a=1; doorwardx=2; =3; DOORWARD=4; doorward x=5; xdoorward=6"]).is_empty());
        assert_eq!(kept(&["doorward; doorward\t=x"]), ["doorward; doorward\t=x"]);
        assert!(kept(&[&"a=;".repeat(20_000)]).is_empty());
        assert_eq!(kept(&[&"doorward=x; ".repeat(3_000)])[0].matches("doorward").count(), COOKIES_MAX);
        assert!(kept(&[&format!("doorward={}", "x".repeat(COOKIE_BYTES_MAX))]).is_empty());
    }

    #[test]
    fn theme_cookie_never_displaces_another() {
        assert_eq!(kept(&["doorward-theme=dark; doorward=x"]), ["doorward=x; doorward-theme=dark"]);
        for wrong in ["doorward-theme", "doorward-theme=", "doorward-theme=\"", "doorward-theme=Dark"] {
            assert!(kept(&[wrong]).is_empty(), "{wrong}");
        }
        let many = format!("{}doorward=x", "doorward-theme=dark; ".repeat(1_000));
        assert_eq!(kept(&[&many]), ["doorward=x; doorward-theme=dark"]);
    }
}
