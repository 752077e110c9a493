//! `/register`: lets people create their own account, if the setting allows it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde_json::json;

use super::answer::answer;
use super::form_errors::FormErrors;
use super::login::{self, BrowserSignIn};
use super::set_password;
use super::shell::Shell;
use crate::guard::csrf::{AnonymousForm, AnonymousFormToken};
use crate::guard::origin::RequestOrigin;
use crate::http::fields::Fields;
use crate::http::request::Public;
use crate::operations::register::{self, Register, RegisterDraft};
use crate::refusal::Refusal;
use crate::state::State;

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage {
    shell: Shell,
    csrf_token: String,
    username: String,
    email: String,
    hint: String,
    errors: FormErrors,
}

/// Shows the form.
pub(crate) async fn show(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    register::refuse_closed_registration(&state)?;
    let before = AnonymousFormToken::of(&state, &request);
    let page = form(&state, &before, ("", ""), FormErrors::none());
    Ok(before.on(answer(StatusCode::OK, &page)?))
}

fn form(
    state: &State,
    before: &AnonymousFormToken,
    (username, email): (&str, &str),
    errors: FormErrors,
) -> RegisterPage {
    RegisterPage {
        shell: Shell::bare(),
        csrf_token: before.token.clone(),
        username: username.to_owned(),
        email: email.to_owned(),
        hint: set_password::hint(state),
        errors,
    }
}

/// Handles the form: creates the account, and signs its user in.
pub(crate) async fn register(
    state: web::Data<State>,
    request: HttpRequest,
    from: RequestOrigin,
    Public(AnonymousForm(sent)): Public<AnonymousForm>,
) -> Result<HttpResponse, Refusal> {
    let field = |name: &str| sent.field(name).unwrap_or_default();
    let (username, email) = (field("username").trim(), field("email").trim());
    let mut typed = json!({ "username": username, "password": field("password") });
    if !email.is_empty() {
        typed["email"] = email.into();
    }
    let made = match Fields::draft::<RegisterDraft>(typed) {
        Ok(draft) => Register { draft }.run(&state, from.0.clone()).await,
        Err(refusal) => Err(refusal),
    };
    match made {
        Ok(_) => {
            let sign_in =
                BrowserSignIn { username, password: field("password"), keep: false, next: "/account" };
            login::begin(&state, &request, &from.0, &sign_in).await
        }
        Err(refusal) => {
            let before = AnonymousFormToken::of(&state, &request);
            let page = |errors| form(&state, &before, (username, email), errors);
            let answer = FormErrors::of(refusal)?.shown_by(page)?;
            Ok(before.on(answer))
        }
    }
}
