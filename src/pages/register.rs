//! `/register`: lets people create their own account, if the setting allows it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde_json::json;

use super::answer::answer;
use super::flaws::Flaws;
use super::login::{self, Wish};
use super::set_password;
use super::shell::Shell;
use crate::guard::csrf::{Before, FormBefore};
use crate::guard::origin::RequestOrigin;
use crate::http::fields::Fields;
use crate::http::request::Open;
use crate::operations::register;
use crate::operations::register::Register;
use crate::operations::register::RegisterRequest;
use crate::refusal::Problem;
use crate::state::State;

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage {
    shell: Shell,
    csrf_token: String,
    username: String,
    email: String,
    hint: String,
    flaws: Flaws,
}

/// Shows the form.
pub async fn show(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    register::refuse_closed_registration(&state)?;
    let before = Before::of(&state, &request);
    let page = form(&state, &before, ("", ""), Flaws::none());
    Ok(before.on(answer(StatusCode::OK, &page)?))
}

fn form(state: &State, before: &Before, (username, email): (&str, &str), flaws: Flaws) -> RegisterPage {
    RegisterPage {
        shell: Shell::bare(),
        csrf_token: before.token.clone(),
        username: username.to_owned(),
        email: email.to_owned(),
        hint: set_password::hint(state),
        flaws,
    }
}

/// Handles the form: creates the account, and signs its user in.
pub async fn register(
    state: web::Data<State>,
    request: HttpRequest,
    from: RequestOrigin,
    Open(FormBefore(sent)): Open<FormBefore>,
) -> Result<HttpResponse, Problem> {
    let field = |name: &str| sent.field(name).unwrap_or_default();
    let (username, email) = (field("username").trim(), field("email").trim());
    let mut typed = json!({ "username": username, "password": field("password") });
    if !email.is_empty() {
        typed["email"] = email.into();
    }
    let made = match Fields::read::<RegisterRequest>(typed) {
        Ok(wanted) => Register { request: wanted }.run(&state, from.0.clone()).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok(_) => {
            let wish = Wish { username, password: field("password"), keep: false, next: "/account" };
            login::begin(&state, &request, &from.0, &wish).await
        }
        Err(problem) => {
            let before = Before::of(&state, &request);
            let page = |flaws| form(&state, &before, (username, email), flaws);
            let answer = Flaws::of(problem)?.shown_by(page)?;
            Ok(before.on(answer))
        }
    }
}
