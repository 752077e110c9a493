//! Shows refusals to people: as a page, or as a redirect to sign in.

use actix_web::HttpResponse;
use actix_web::http::{Method, StatusCode};
use askama::Template;

use super::answer::answer;
use super::redirect::see_other;
use super::shell::Shell;
use super::{next, step_up};
use crate::refusal::{Asked, Code, Problem};

/// The roots of pages. Elsewhere, a refusal is shown as a page only if the client accepts HTML.
const PAGES: [&str; 7] =
    ["/register", "/login", "/logout", "/step-up", "/account", "/admin", "/set-password"];
/// The roots of paths for programs, which never get a page.
const PROGRAMS: [&str; 5] = ["/api", "/.well-known", "/openapi.json", "/healthz", "/readyz"];

#[derive(Template)]
#[template(path = "refused.html")]
struct Refused {
    shell: Shell,
    title: &'static str,
    detail: String,
    code: &'static str,
    status: u16,
    request_id: String,
    retry: Option<Retry>,
    signs_in: bool,
}

/// The way to retry a request that was refused temporarily.
enum Retry {
    /// A link to the same URL.
    Link,
    /// Reloading the page. The browser still has the form, which a link would not send.
    Form,
}

/// Shows a refusal to a person. Returns `None` if a program sent the request, so that it gets JSON.
#[must_use]
pub fn refused(problem: &Problem, asked: &Asked) -> Option<HttpResponse> {
    let path = asked.target().split('?').next().unwrap_or_default();
    let is_under =
        |root: &&str| path.strip_prefix(*root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let is_page = path == "/" || PAGES.iter().any(is_under);
    if !is_page && (PROGRAMS.iter().any(is_under) || !asked.takes_html) {
        return None;
    }
    let is_safe = is_safe(asked);
    match problem.code() {
        Code::AuthenticationTooOld if is_safe => Some(see_other(&next::after("/step-up", asked.target()))),
        Code::AuthenticationTooOld => step_up::ask_again(asked.target(), problem).ok(),
        code if code.status() == StatusCode::UNAUTHORIZED && !stays(code) => {
            // A form's own path may have no page to return to.
            let target = if is_safe { asked.target() } else { "/account" };
            Some(see_other(&next::after("/login", target)))
        }
        code => answer(code.status(), &page(problem, asked)).ok(),
    }
}

/// Returns true if a 401 is shown at its own URL instead of redirecting: signing in would not help.
fn stays(code: Code) -> bool {
    matches!(code, Code::InvalidCredentials | Code::SchemeUnsupported)
}

fn is_safe(asked: &Asked) -> bool {
    matches!(asked.method, Method::GET | Method::HEAD)
}

fn page(problem: &Problem, asked: &Asked) -> Refused {
    let code = problem.code();
    let passes = matches!(code, Code::Overloaded | Code::DatabaseUnavailable | Code::TooManyAttempts);
    let mut shell = Shell::open();
    shell.offers_login = false;
    Refused {
        shell,
        title: code.title(),
        detail: problem.detail().to_owned(),
        code: code.as_str(),
        status: code.status().as_u16(),
        request_id: asked.id.0.to_string(),
        retry: passes.then(|| if is_safe(asked) { Retry::Link } else { Retry::Form }),
        signs_in: code == Code::InvalidCredentials,
    }
}
