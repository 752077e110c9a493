//! `/step-up`: asks for the password again (RFC 9470), then redirects to where the user was. If a form was
//! refused, this page carries its fields. Afterwards, a 307 makes the browser send them again (RFC 9110,
//! section 15.4.8).

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::answer::answer;
use super::redirect::see_other;
use super::return_to;
use super::shell::Shell;
use crate::guard::session_cookie::{self, NewSessionCookie};
use crate::guard::{AnyCaller, Authorized, refusals};
use crate::http::request::{Form, Query};
use crate::operations::step_up::StepUp;
use crate::refusal::{self, Code, Refusal};
use crate::sessions::NewSecret;
use crate::state::State;
use crate::users::password::PlainPassword;

/// The name of the password field. It differs from all names in the forms whose fields the page carries.
const PASSWORD: &str = "step_up_password";
const CSRF: &str = "csrf_token";

#[derive(Template)]
#[template(path = "step_up.html")]
struct StepUpPage {
    shell: Shell,
    csrf_token: String,
    next: String,
    repeat: String,
    fields: Vec<(String, String)>,
    error: Option<String>,
}

/// The query parameters of the page.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StepUpQuery {
    next: Option<String>,
}

/// Shows the form.
pub(crate) async fn show(
    guarded: Authorized<AnyCaller, Query<StepUpQuery>>,
) -> Result<HttpResponse, Refusal> {
    let Query(query) = guarded.input;
    let shell = Shell::of(&guarded.caller);
    let page = StepUpPage {
        csrf_token: shell.csrf_token().to_owned(),
        shell,
        next: return_to::path(query.next.as_deref()).unwrap_or_default().to_owned(),
        repeat: String::new(),
        fields: Vec::new(),
        error: None,
    };
    answer(StatusCode::OK, &page)
}

/// Shows the form in place of the refusal, with the fields of the form that was refused.
pub(crate) fn ask_for_password(
    target: &str,
    refusal: &Refusal,
    sent: Option<&Form>,
) -> Result<HttpResponse, Refusal> {
    let is_repeated = |name: &str| name != CSRF && !name.contains("password");
    let fields = sent.into_iter().flat_map(Form::fields).filter(|(name, _)| is_repeated(name));
    let page = StepUpPage {
        shell: Shell::bare(),
        csrf_token: sent.and_then(|form| form.field(CSRF)).unwrap_or_default().to_owned(),
        next: String::new(),
        repeat: target.to_owned(),
        // A page must not contain a password. The user enters it again.
        fields: fields.cloned().collect(),
        error: None,
    };
    answer(refusal.code().status(), &page)
}

/// Handles the form: verifies the password, sets a new cookie, and redirects.
pub(crate) async fn step_up(
    state: web::Data<State>,
    request: HttpRequest,
    guarded: Authorized<AnyCaller, Form>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: sent, origin, .. } = guarded;
    let session_id = caller.credential.session_id().ok_or_else(refusals::session_unknown)?;
    let password = PlainPassword::new(sent.field(PASSWORD).unwrap_or_default());
    let repeat = return_to::path(sent.field("repeat")).unwrap_or_default().to_owned();
    let next = return_to::path(sent.field("next")).unwrap_or_default().to_owned();
    let pointer = format!("/{PASSWORD}");
    let cookie = NewSessionCookie::generate();
    let secret = NewSecret::Cookie(cookie.digest());
    match (StepUp { session_id, password, pointer: &pointer, secret }).run(&state, &caller, origin).await {
        Ok(stepped_up) => {
            let mut answer = match (repeat.as_str(), next.as_str()) {
                ("", "") => see_other("/account"),
                ("", next) => see_other(next),
                (repeat, _) => HttpResponse::TemporaryRedirect().insert_header((LOCATION, repeat)).finish(),
            };
            let kept = session_cookie::cookie_max_age(&state.web.browser, stepped_up.kept);
            session_cookie::set_cookie(&request, &mut answer, &cookie, kept);
            Ok(answer)
        }
        Err(refusal) if matches!(refusal.code(), Code::ValidationFailed | Code::TooManyAttempts) => {
            let shell = Shell::of(&caller);
            let own = [CSRF, PASSWORD, "next", "repeat"];
            let page = StepUpPage {
                csrf_token: shell.csrf_token().to_owned(),
                shell,
                next,
                repeat,
                fields: sent
                    .into_fields()
                    .into_iter()
                    .filter(|(name, _)| !own.contains(&name.as_str()))
                    .collect(),
                error: Some(match refusal.code() {
                    Code::TooManyAttempts => refusal.detail().to_owned(),
                    _ => "This is not the account's password.".to_owned(),
                }),
            };
            let mut answer = answer(refusal.code().status(), &page)?;
            if refusal.code() == Code::TooManyAttempts {
                refusal::mark_refused(&mut answer, &refusal);
            }
            Ok(answer)
        }
        Err(refusal) => Err(refusal),
    }
}
