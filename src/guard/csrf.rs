//! Protects against cross-site request forgery. An unsafe request that a browser authenticates by itself must
//! come from one of this server's pages and carry the session's token.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::ORIGIN;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::http::cookies::{BrowserSettings, FORM_COOKIE};
use crate::http::request::{Form, Input, read_body};
use crate::random;
use crate::refusal::{Code, Refusal};
use crate::secret_key::{Purpose, SecretKeys};
use crate::state::State;

/// The header that carries the token.
const HEADER: &str = "x-csrf-token";
/// The form field that carries the token.
const FIELD: &str = "csrf_token";
/// The header that relates the page that sent a request to this server (Fetch Metadata).
const SITE: &str = "sec-fetch-site";

/// Returns the token of a session. It never changes.
#[must_use]
pub(crate) fn token_of_session(keys: &SecretKeys, session_id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(keys.mac(Purpose::Csrf, &[b"session", session_id.as_bytes()]))
}

fn is_token_of(keys: &SecretKeys, bound_to: &[&[u8]], token: &str) -> bool {
    let mac = URL_SAFE_NO_PAD.decode(token);
    mac.is_ok_and(|mac| mac.len() == 32 && keys.verify_mac(Purpose::Csrf, bound_to, &mac))
}

/// Returns whether requests with this method change nothing (RFC 9110, section 9.2.1).
#[must_use]
pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Checks an unsafe request of a browser's session. Returns the body, which may have been read to find the
/// token.
///
/// # Errors
/// `csrf_failed`, or the error of the body.
pub(crate) async fn check(
    state: &State,
    request: &HttpRequest,
    payload: Payload,
    session_id: Uuid,
) -> Result<Payload, Refusal> {
    check_site(request, &state.web.browser)?;
    let bound_to: [&[u8]; 2] = [b"session", session_id.as_bytes()];
    check_token(state, request, payload, &bound_to).await
}

/// Checks that the request comes from one of this server's pages, by Fetch Metadata. For browsers and
/// connections without it, the `Origin` decides (RFC 6454).
fn check_site(request: &HttpRequest, settings: &BrowserSettings) -> Result<(), Refusal> {
    let header = |name: &str| request.headers().get(name).map(|value| value.as_bytes());
    let ours = &settings.origin;
    match (header(SITE), header(ORIGIN.as_str())) {
        (Some(b"same-origin"), _) => Ok(()),
        (None, Some(origin)) if origin == ours.as_bytes() => Ok(()),
        (_, Some(origin)) => Err(failed(&format!(
            "The request comes from a page at `{}`, but this server's own pages are at `{ours}`. Open that \
             address instead. If people reach this server at another address, its operator must set \
             DOORWARD_PUBLIC_URL to that address.",
            shown(origin),
        ))),
        (Some(site), None) => Err(failed(&format!(
            "The request comes from another site's page (`Sec-Fetch-Site: {}`). Send it from a page at `{ours}`, or \
             use an access token instead of the cookie.",
            shown(site),
        ))),
        (None, None) => Err(failed(
            "The request has neither `Sec-Fetch-Site` nor `Origin`, so its page is unknown. If you are \
             writing a program, send an access token instead of the cookie.",
        )),
    }
}

/// Returns a header's value for a detail, with only printable ASCII except backquotes, and at most 200
/// characters.
fn shown(value: &[u8]) -> String {
    let printable = value.iter().copied().filter(|byte| byte.is_ascii_graphic() && *byte != b'`');
    printable.take(200).map(char::from).collect()
}

async fn check_token(
    state: &State,
    request: &HttpRequest,
    payload: Payload,
    bound_to: &[&[u8]],
) -> Result<Payload, Refusal> {
    let (token, payload) = match request.headers().get(HEADER) {
        Some(token) => (token.to_str().unwrap_or_default().to_owned(), payload),
        None if Form::is_sent(request) => {
            let body = read_body(request, payload).await?;
            let form = Form::parse(&body);
            let token = form.field(FIELD).unwrap_or_default().to_owned();
            request.extensions_mut().insert(form);
            (token, payload_of(body))
        }
        None => (String::new(), payload),
    };
    if is_token_of(&state.core.secret_keys, bound_to, &token) {
        return Ok(payload);
    }
    Err(failed(
        "The CSRF token is missing, or belongs to another session. Reload the page. A script sends \
         `credential.csrf_token` of GET /api/v1/me as `X-CSRF-Token`.",
    ))
}

fn payload_of(body: Vec<u8>) -> Payload {
    let chunk = futures_util::stream::once(std::future::ready(Ok(Bytes::from(body))));
    Payload::Stream { payload: Box::pin(chunk) }
}

fn failed(detail: &str) -> Refusal {
    Refusal::new(Code::CsrfFailed, detail)
}

/// Refuses an unsafe Basic request from another site, because a browser adds such a credential to other
/// sites' requests too. Browsers without Fetch Metadata still send `Origin`.
///
/// # Errors
/// `csrf_failed`.
pub(crate) fn refuse_cross_site(request: &HttpRequest, settings: &BrowserSettings) -> Result<(), Refusal> {
    let header = |name: &str| request.headers().get(name).map(|value| value.as_bytes());
    let is_trusted = |origin: &[u8]| {
        origin == settings.origin.as_bytes()
            || settings.script_origins.iter().any(|trusted| trusted.as_bytes() == origin)
    };
    let is_ours = header(SITE).is_none_or(|site| site == b"same-origin")
        && header(ORIGIN.as_str()).is_none_or(is_trusted);
    if is_safe(request.method()) || is_ours {
        return Ok(());
    }
    Err(failed(
        "A page on another site caused this request, and the browser added the Basic credential \
         automatically. Send the token as `Authorization: Bearer …` instead.",
    ))
}

/// The CSRF token of a form that is shown before sign-in. It is bound to a random cookie and needs no row.
pub(crate) struct AnonymousFormToken {
    /// The value of the form's field.
    pub token: String,
    cookie: Option<Cookie<'static>>,
}

impl AnonymousFormToken {
    /// Creates the token for a form that is about to be shown.
    #[must_use]
    pub(crate) fn of(state: &State, request: &HttpRequest) -> Self {
        let name = state.web.browser.cookie_name(FORM_COOKIE);
        if let Some(sent) = request.cookie(&name).filter(|cookie| cookie.value().len() == 43) {
            return Self { token: anonymous_form_token(state, sent.value()), cookie: None };
        }
        let value = URL_SAFE_NO_PAD.encode(random::bytes::<32>());
        let token = anonymous_form_token(state, &value);
        let cookie = Cookie::build(name, value)
            .path("/")
            .http_only(true)
            .secure(state.web.browser.secure)
            .same_site(SameSite::Lax)
            .finish();
        Self { token, cookie: Some(cookie) }
    }

    /// Returns the response that shows the form. It sets the cookie if the browser has none yet.
    #[must_use]
    pub(crate) fn on(self, mut answer: HttpResponse) -> HttpResponse {
        if let Some(cookie) = self.cookie {
            // The cookie's name and value are always valid.
            let _ = answer.add_cookie(&cookie);
        }
        answer
    }
}

fn anonymous_form_token(state: &State, cookie: &str) -> String {
    URL_SAFE_NO_PAD.encode(state.core.secret_keys.mac(Purpose::Csrf, &[b"form", cookie.as_bytes()]))
}

/// A form that was sent before sign-in, with a valid CSRF token.
pub(crate) struct AnonymousForm(pub Form);

impl Input for AnonymousForm {
    async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, Refusal> {
        let state = crate::state::of(request)?;
        check_site(request, &state.web.browser)?;
        let form = Form::read(request, payload).await?;
        let cookie = request.cookie(&state.web.browser.cookie_name(FORM_COOKIE));
        let bound = cookie.as_ref().map(|cookie| cookie.value().as_bytes()).unwrap_or_default();
        let token = form.field(FIELD).unwrap_or_default();
        if cookie.is_none() || !is_token_of(&state.core.secret_keys, &[b"form", bound], token) {
            return Err(failed(
                "The form's token is missing, or belongs to another browser. Reload the page. The browser \
                 must accept cookies.",
            ));
        }
        Ok(Self(form))
    }
}
