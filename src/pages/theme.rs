//! `/theme`: lets people choose light or dark colours. A cookie keeps the choice, and `/theme.css` depends on it.
//! So pages are the same for everyone and can be cached, and none is shown in the wrong colours first.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, REFERER, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::answer::answer;
use super::redirect::see_other;
use super::return_to;
use super::shell::Shell;
use crate::guard::csrf::{AnonymousForm, AnonymousFormToken};
use crate::http::conditions::Conditions;
use crate::http::request::Public;
use crate::http::routing::Endpoint;
use crate::refusal::{Code, Refusal};
use crate::state::State;

/// The cookie with the choice. The script writes it too, so its name is the same over http and https.
const COOKIE: &str = "doorward-theme";
const KEPT_DAYS: i64 = 365;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    System,
    Light,
    Dark,
}

const THEMES: [Theme; 3] = [Theme::System, Theme::Light, Theme::Dark];

impl Theme {
    /// Returns the choice in the cookie. Without one, the colours are those of the device.
    fn of(request: &HttpRequest) -> Self {
        let cookie = request.cookie(COOKIE);
        cookie.and_then(|cookie| Self::parse(cookie.value())).unwrap_or(Self::System)
    }

    fn parse(text: &str) -> Option<Self> {
        THEMES.into_iter().find(|theme| theme.as_str() == text)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Returns the stylesheet of the choice. Paper is always light.
    fn style(self) -> &'static str {
        match self {
            Self::System => "/* The colours of the device. */\n",
            Self::Light => "@media screen { :root { color-scheme: light; } }\n",
            Self::Dark => "@media screen { :root { color-scheme: dark; } }\n",
        }
    }

    fn tag(self) -> &'static str {
        match self {
            Self::System => "\"system\"",
            Self::Light => "\"light\"",
            Self::Dark => "\"dark\"",
        }
    }
}

#[must_use]
pub(crate) fn routes() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/theme").get(show).post(choose).codes(&[Code::CsrfFailed]),
        Endpoint::at("/theme.css").get(style),
    ]
}

#[derive(Template)]
#[template(path = "theme.html")]
struct ThemePage {
    shell: Shell,
    csrf_token: String,
    chosen: Theme,
    next: String,
}

impl ThemePage {
    fn is(&self, value: &str) -> bool {
        self.chosen.as_str() == value
    }
}

/// Serves the stylesheet of the browser's choice. The browser asks again for each page whether it still
/// applies.
pub(crate) async fn style(request: HttpRequest) -> HttpResponse {
    let theme = Theme::of(&request);
    let is_unmodified = Conditions::of(request.headers()).is_unmodified(theme.tag());
    let mut answer = if is_unmodified { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((CACHE_CONTROL, "private, no-cache"))
        .insert_header((VARY, "Cookie"))
        .insert_header((ETAG, theme.tag()));
    if is_unmodified {
        return answer.finish();
    }
    answer.insert_header((CONTENT_TYPE, "text/css; charset=utf-8")).body(theme.style())
}

/// Shows the form.
pub(crate) async fn show(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let token = AnonymousFormToken::of(&state, &request);
    let page = ThemePage {
        shell: Shell::public(&request).await,
        csrf_token: token.token.clone(),
        chosen: Theme::of(&request),
        next: came_from(&request, &state.web.browser.origin).unwrap_or_default().to_owned(),
    };
    Ok(token.on(answer(StatusCode::OK, &page)?))
}

/// Returns the path of the page that linked here, if it is one of this server.
fn came_from<'a>(request: &'a HttpRequest, origin: &str) -> Option<&'a str> {
    let referer = request.headers().get(REFERER)?.to_str().ok()?;
    return_to::path(referer.strip_prefix(origin))
}

/// Stores the choice, and redirects back to the page from which the form was opened.
pub(crate) async fn choose(
    state: web::Data<State>,
    Public(AnonymousForm(sent)): Public<AnonymousForm>,
) -> Result<HttpResponse, Refusal> {
    let theme = sent.field("theme").and_then(Theme::parse).unwrap_or(Theme::System);
    let mut answer = see_other(return_to::path(sent.field("next")).unwrap_or("/"));
    let cookie = Cookie::build(COOKIE, theme.as_str())
        .path("/")
        .secure(state.web.browser.secure)
        .same_site(SameSite::Lax)
        .max_age(Duration::days(KEPT_DAYS))
        .finish();
    // The cookie's name and value are always valid.
    let _ = answer.add_cookie(&cookie);
    Ok(answer)
}
