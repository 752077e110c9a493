//! Shows refusals to people: as a page, or as a redirect to sign in.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::answer::answer;
use super::redirect::see_other;
use super::shell::Shell;
use super::{return_to, step_up};
use crate::http::request::Form;
use crate::http::routing::MatchedPath;
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
            if code == Code::NotFound && sent.is_some_and(|sent| sent.app_data::<MatchedPath>().is_none()) {
                page.title = "Page not found";
                page.detail =
                    format!("There is no page at `{}`.", path_without_secrets(&request.path(), PATH_SHOWN));
            }
            answer(code.status(), &page)
        }
    }
}

/// Returns true if a 401 is shown at its own URL instead of redirecting: signing in would not help.
fn keeps_address(code: Code) -> bool {
    matches!(code, Code::InvalidCredentials | Code::SchemeUnsupported)
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
    }
}
