//! The proof that a person meant an unsafe request which a browser authenticated by itself: it comes from a page of
//! ours, and carries the session's token.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::ORIGIN;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::cookie_store::BrowserSettings;
use super::input::{Form, Input};
use super::services::Services;
use crate::problem::{Code, Problem};
use crate::random;
use crate::secret_key::{Purpose, SecretKeys};

/// The header and the form field that carry the token.
const HEADER: &str = "x-csrf-token";
const FIELD: &str = "csrf_token";

/// The token of a session: the same as long as it lives.
#[must_use]
pub fn token_of_session(keys: &SecretKeys, session_id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(keys.mac(Purpose::Csrf, &[b"session", session_id.as_bytes()]))
}

fn is_token_of(keys: &SecretKeys, bound_to: &[&[u8]], token: &str) -> bool {
    let mac = URL_SAFE_NO_PAD.decode(token);
    mac.is_ok_and(|mac| mac.len() == 32 && keys.verify_mac(Purpose::Csrf, bound_to, &mac))
}

/// Whether a request of this method changes nothing (RFC 9110, section 9.2.1).
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Checks an unsafe request of a browser's session; gives the body back, which may have had to be read.
///
/// # Errors
/// `csrf_failed`, or what is wrong with the body.
pub async fn check(
    services: &Services,
    request: &HttpRequest,
    payload: Payload,
    session_id: Uuid,
) -> Result<Payload, Problem> {
    check_site(request, &services.browser)?;
    let bound_to: [&[u8]; 2] = [b"session", session_id.as_bytes()];
    check_token(services, request, payload, &bound_to).await
}

/// The request comes from a page of ours (Fetch Metadata; RFC 6454 for browsers or connections without it).
fn check_site(request: &HttpRequest, settings: &BrowserSettings) -> Result<(), Problem> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let is_ours = match header("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => header(ORIGIN.as_str()).is_some_and(|origin| origin == settings.origin),
    };
    if is_ours {
        return Ok(());
    }
    Err(failed(
        "The request carries a browser's cookie and does not come from a page of this server. Send it from one, or \
         use an access token instead of the cookie.",
    ))
}

async fn check_token(
    services: &Services,
    request: &HttpRequest,
    payload: Payload,
    bound_to: &[&[u8]],
) -> Result<Payload, Problem> {
    let (token, payload) = match request.headers().get(HEADER) {
        Some(token) => (token.to_str().unwrap_or_default().to_owned(), payload),
        None if Form::is_sent(request) => {
            let body = super::input::read_body(request, payload).await?;
            let form = Form::parse(&body);
            let token = form.field(FIELD).unwrap_or_default().to_owned();
            request.extensions_mut().insert(form);
            (token, payload_of(body))
        }
        None => (String::new(), payload),
    };
    if is_token_of(&services.secret_keys, bound_to, &token) {
        return Ok(payload);
    }
    Err(failed(
        "The session's CSRF token is missing or not this session's. Load the page again; a script sends \
         `credential.csrf_token` of GET /api/v1/me as `X-CSRF-Token`.",
    ))
}

fn payload_of(body: Vec<u8>) -> Payload {
    let chunk = futures_util::stream::once(std::future::ready(Ok(Bytes::from(body))));
    Payload::Stream { payload: Box::pin(chunk) }
}

fn failed(detail: &str) -> Problem {
    Problem::new(Code::CsrfFailed, detail)
}

/// A browser sends a Basic credential by itself, from other sites' pages too.
///
/// # Errors
/// `csrf_failed`.
pub fn refuse_cross_site(request: &HttpRequest) -> Result<(), Problem> {
    let site = request.headers().get("sec-fetch-site");
    if is_safe(request.method()) || site.is_none_or(|site| site == "same-origin") {
        return Ok(());
    }
    Err(failed(
        "A browser sent this Basic credential from another site's page, so it proves nothing about the user's will. \
         Send the token as `Authorization: Bearer …` instead.",
    ))
}

/// The proof of a form that is there before any session: its token is bound to a random cookie, without a row.
pub struct Before {
    /// What stands in the form.
    pub token: String,
    cookie: Option<Cookie<'static>>,
}

const COOKIE: &str = "doorward-form";

impl Before {
    /// For a form that is about to be shown.
    #[must_use]
    pub fn of(services: &Services, request: &HttpRequest) -> Self {
        let name = services.browser.cookie_name(COOKIE);
        if let Some(sent) = request.cookie(&name).filter(|cookie| cookie.value().len() == 43) {
            return Self { token: token_before(services, sent.value()), cookie: None };
        }
        let value = URL_SAFE_NO_PAD.encode(random::bytes::<32>());
        let token = token_before(services, &value);
        let cookie = Cookie::build(name, value)
            .path("/")
            .http_only(true)
            .secure(services.browser.secure)
            .same_site(SameSite::Lax)
            .finish();
        Self { token, cookie: Some(cookie) }
    }

    /// The answer that shows the form, with the cookie where the browser has none yet.
    #[must_use]
    pub fn on(self, mut answer: HttpResponse) -> HttpResponse {
        if let Some(cookie) = self.cookie {
            // Its name and value are ours and always good.
            let _ = answer.add_cookie(&cookie);
        }
        answer
    }
}

fn token_before(services: &Services, cookie: &str) -> String {
    URL_SAFE_NO_PAD.encode(services.secret_keys.mac(Purpose::Csrf, &[b"form", cookie.as_bytes()]))
}

/// A form that was sent before there is a session, with its proof.
pub struct FormBefore(pub Form);

impl Input for FormBefore {
    async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, Problem> {
        let services = super::services::of(request)?;
        check_site(request, &services.browser)?;
        let form = Form::read(request, payload).await?;
        let cookie = request.cookie(&services.browser.cookie_name(COOKIE));
        let bound = cookie.as_ref().map(|cookie| cookie.value().as_bytes()).unwrap_or_default();
        let token = form.field(FIELD).unwrap_or_default();
        if cookie.is_none() || !is_token_of(&services.secret_keys, &[b"form", bound], token) {
            return Err(failed(
                "The form's token is missing or another browser's. Load the page again; the browser must take cookies.",
            ));
        }
        Ok(Self(form))
    }
}
