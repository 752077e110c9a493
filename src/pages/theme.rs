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
use crate::http::cookies::{THEME_COOKIE, THEMES};
use crate::http::request::Public;
use crate::http::routing::Endpoint;
use crate::refusal::{Code, Refusal};
use crate::state::State;

const KEPT_DAYS: i64 = 365;

/// The colours of the device, which apply without a choice.
const SYSTEM: &str = THEMES[0];

/// Returns the choice in the cookie.
fn theme_of(request: &HttpRequest) -> &'static str {
    request.cookie(THEME_COOKIE).and_then(|cookie| find_theme(cookie.value())).unwrap_or(SYSTEM)
}

fn find_theme(text: &str) -> Option<&'static str> {
    THEMES.into_iter().find(|theme| *theme == text)
}

/// Returns the stylesheet of a choice. Paper is always light.
fn style_of(theme: &str) -> String {
    if theme == SYSTEM {
        return "/* The colours of the device. */\n".to_owned();
    }
    format!("@media screen {{ :root {{ color-scheme: {theme}; }} }}\n")
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
    chosen: &'static str,
    next: String,
}

/// Serves the stylesheet of the browser's choice. The browser asks again for each page whether it still
/// applies.
pub(crate) async fn style(request: HttpRequest) -> HttpResponse {
    let theme = theme_of(&request);
    let tag = format!("\"{theme}\"");
    let is_unmodified = Conditions::of(request.headers()).is_unmodified(&tag);
    let mut answer = if is_unmodified { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((CACHE_CONTROL, "private, no-cache"))
        .insert_header((VARY, "Cookie"))
        .insert_header((ETAG, tag));
    if is_unmodified {
        return answer.finish();
    }
    answer.insert_header((CONTENT_TYPE, "text/css; charset=utf-8")).body(style_of(theme))
}

/// Shows the form.
pub(crate) async fn show(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let token = AnonymousFormToken::of(&state, &request);
    let page = ThemePage {
        shell: Shell::public(&request).await,
        csrf_token: token.token.clone(),
        chosen: theme_of(&request),
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
    let theme = sent.field("theme").and_then(find_theme).unwrap_or(SYSTEM);
    let mut answer = see_other(return_to::path(sent.field("next")).unwrap_or("/"));
    let cookie = Cookie::build(THEME_COOKIE, theme)
        .path("/")
        .secure(state.web.browser.secure)
        .same_site(SameSite::Lax)
        .max_age(Duration::days(KEPT_DAYS))
        .finish();
    // The cookie's name and value are always valid.
    let _ = answer.add_cookie(&cookie);
    Ok(answer)
}
