//! Shows refusals to people: as a page, or as a redirect to sign in.

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::answer::answer;
use super::redirect::see_other;
use super::shell::Shell;
use super::{return_to, step_up};
use crate::http::request::Form;
use crate::http::routing::{MatchedPath, RouteLookup, RouteTable};
use crate::refusal::{Code, Refusal, RequestSummary, path_without_secrets};

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusalPage {
    shell: Shell,
    title: &'static str,
    detail: String,
    code: &'static str,
    status: u16,
    request_id: String,
    retry: Option<Retry>,
    signs_in: bool,
    /// True if the request came from a form whose CSRF token was missing or of another session.
    is_stale_form: bool,
    /// The path and the name of a page that the user may have meant.
    instead: Option<(String, String)>,
}

/// The longest path that a page shows, in characters.
const PATH_SHOWN: usize = 200;

/// The way to retry a request that was refused temporarily.
enum Retry {
    /// A link to the same URL.
    Link,
    /// Reloading the page. The browser still has the form, which a link would not send.
    Form,
}

/// Shows a refusal to a person: as a page, or as a redirect to the form that they must submit first. `sent` is
/// the request itself, if it is still available.
pub(crate) async fn refused(
    refusal: &Refusal,
    request: &RequestSummary,
    form: Option<&Form>,
    sent: Option<&HttpRequest>,
) -> Result<HttpResponse, Refusal> {
    match refusal.code() {
        Code::AuthenticationTooOld if request.is_safe() => {
            Ok(see_other(&return_to::after("/step-up", request.target())))
        }
        Code::AuthenticationTooOld => step_up::ask_for_password(request.target(), refusal, form),
        code if code.status() == StatusCode::UNAUTHORIZED && !keeps_address(code) => {
            // A form's own path may have no page to return to.
            let target = if request.is_safe() { request.target() } else { "/account" };
            Ok(see_other(&return_to::after("/login", target)))
        }
        code => {
            let mut page = page(refusal, request, frame(code, sent).await);
            if let Some(sent) = sent.filter(|_| code == Code::NotFound) {
                describe_missing(&mut page, sent, &request.path());
            }
            answer(code.status(), &page)
        }
    }
}

/// Returns true if a 401 is shown at its own URL instead of redirecting: signing in would not help.
fn keeps_address(code: Code) -> bool {
    matches!(code, Code::InvalidCredentials | Code::SchemeUnsupported)
}

/// Says to people what programs read in other words: that a page does not exist, and which one does.
fn describe_missing(page: &mut RefusalPage, sent: &HttpRequest, path: &str) {
    match sent.app_data::<MatchedPath>().map(|matched| matched.0) {
        None => {
            page.title = "Page not found";
            page.detail = format!("There is no page at `{}`.", path_without_secrets(path, PATH_SHOWN));
            page.instead = other_path(sent, path).map(|other| (other.clone(), other));
        }
        Some("/problems/{code}") => {
            page.detail = "There is no such code.".to_owned();
            page.instead = Some(("/problems".to_owned(), "All codes".to_owned()));
        }
        Some(_) => {}
    }
}

/// Returns the path with or without a trailing slash, if there is a page at that one.
fn other_path(sent: &HttpRequest, path: &str) -> Option<String> {
    let other = match path.strip_suffix('/') {
        Some(without) => without.trim_end_matches('/').to_owned(),
        None => format!("{path}/"),
    };
    let table = sent.app_data::<web::Data<RouteTable>>()?;
    let is_page = matches!(table.find(&Method::GET, &other), RouteLookup::Open | RouteLookup::Guarded(_));
    (is_page && !other.starts_with("//") && path_without_secrets(&other, PATH_SHOWN) == other)
        .then_some(other)
}

/// Returns the frame of the page. Looking for the visitor would be of no use after a 401, and while the server
/// has a problem it would only take longer.
async fn frame(code: Code, sent: Option<&HttpRequest>) -> Shell {
    match sent {
        Some(sent) if code.status().is_client_error() && code.status() != StatusCode::UNAUTHORIZED => {
            Shell::public(sent).await
        }
        _ => Shell::bare(),
    }
}

fn page(refusal: &Refusal, request: &RequestSummary, shell: Shell) -> RefusalPage {
    let code = refusal.code();
    let passes = matches!(code, Code::Overloaded | Code::DatabaseUnavailable | Code::TooManyAttempts);
    let title = match code {
        Code::PermissionDenied => "You don’t have access to this page",
        Code::CsrfFailed => "This form has expired",
        code => code.title(),
    };
    RefusalPage {
        shell,
        title,
        detail: refusal.detail().to_owned(),
        code: code.as_str(),
        status: code.status().as_u16(),
        request_id: request.id.0.to_string(),
        retry: passes.then(|| if request.is_safe() { Retry::Link } else { Retry::Form }),
        signs_in: code == Code::InvalidCredentials,
        is_stale_form: code == Code::CsrfFailed,
        instead: None,
    }
}
