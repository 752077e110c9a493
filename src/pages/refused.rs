//! Shows refusals to people: as a page, or as a redirect to sign in.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::answer::answer;
use super::redirect::see_other;
use super::shell::Shell;
use super::{return_to, step_up};
use crate::http::request::Form;
use crate::refusal::{Code, Refusal, RequestSummary};

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
}

/// The way to retry a request that was refused temporarily.
enum Retry {
    /// A link to the same URL.
    Link,
    /// Reloading the page. The browser still has the form, which a link would not send.
    Form,
}

/// Shows a refusal to a person: as a page, or as a redirect to the form that they must submit first.
pub fn refused(
    refusal: &Refusal,
    request: &RequestSummary,
    form: Option<&Form>,
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
        code => answer(code.status(), &page(refusal, request)),
    }
}

/// Returns true if a 401 is shown at its own URL instead of redirecting: signing in would not help.
fn keeps_address(code: Code) -> bool {
    matches!(code, Code::InvalidCredentials | Code::SchemeUnsupported)
}

fn page(refusal: &Refusal, request: &RequestSummary) -> RefusalPage {
    let code = refusal.code();
    let passes = matches!(code, Code::Overloaded | Code::DatabaseUnavailable | Code::TooManyAttempts);
    let mut shell = Shell::open();
    shell.offers_login = false;
    RefusalPage {
        shell,
        title: code.title(),
        detail: refusal.detail().to_owned(),
        code: code.as_str(),
        status: code.status().as_u16(),
        request_id: request.id.0.to_string(),
        retry: passes.then(|| if request.is_safe() { Retry::Link } else { Retry::Form }),
        signs_in: code == Code::InvalidCredentials,
    }
}
