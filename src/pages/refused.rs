//! A refusal as a person sees it: a page, or the way to sign in.

use actix_web::HttpResponse;
use actix_web::http::{Method, StatusCode};
use askama::Template;

use super::answer::answer;
use super::redirect::see_other;
use super::shell::Shell;
use super::{next, step_up};
use crate::refusal::{Asked, Code, Problem};

/// Where the HTML door is. What is asked elsewhere is shown as a page to who says that he takes HTML.
const PAGES: [&str; 7] =
    ["/register", "/login", "/logout", "/step-up", "/account", "/admin", "/set-password"];
/// Where programs ask, whatever they say that they take.
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

/// How to ask again for what may be answered later.
enum Retry {
    /// By a link to the same address.
    Link,
    /// By a reload: the browser still has the form, and a link would not send it.
    Form,
}

/// The page of a refusal; `None`: a program asked, which gets the problem itself.
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
            // A form's own address may not be one to go on at.
            let target = if is_safe { asked.target() } else { "/account" };
            Some(see_other(&next::after("/login", target)))
        }
        code => answer(code.status(), &page(problem, asked)).ok(),
    }
}

/// Returns whether a 401 is shown at its own address: a sign-in would not change what was sent.
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
