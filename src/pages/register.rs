//! `/register`: an account for oneself, where the setting lets anybody make one.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde_json::json;

use super::flaws::Flaws;
use super::login::{self, Wish};
use super::shell::Shell;
use super::{answer, set_password};
use crate::guard::Services;
use crate::guard::csrf::{Before, FormBefore};
use crate::guard::fields::Fields;
use crate::guard::input::From;
use crate::guard::input::Open;
use crate::guard::registration::RegisterRequest;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "register.html")]
struct Register {
    shell: Shell,
    csrf_token: String,
    username: String,
    email: String,
    hint: String,
    flaws: Flaws,
}

/// The form.
pub async fn show(services: web::Data<Services>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    services.refuse_closed_registration()?;
    let before = Before::of(&services, &request);
    let page = form(&services, &before, ("", ""), Flaws::none());
    Ok(before.on(answer(StatusCode::OK, &page)?))
}

fn form(services: &Services, before: &Before, (username, email): (&str, &str), flaws: Flaws) -> Register {
    Register {
        shell: Shell::bare(),
        csrf_token: before.token.clone(),
        username: username.to_owned(),
        email: email.to_owned(),
        hint: set_password::hint(services),
        flaws,
    }
}

/// Makes the account, and signs its user in.
pub async fn register(
    services: web::Data<Services>,
    request: HttpRequest,
    from: From,
    Open(FormBefore(sent)): Open<FormBefore>,
) -> Result<HttpResponse, Problem> {
    let field = |name: &str| sent.field(name).unwrap_or_default();
    let (username, email) = (field("username").trim(), field("email").trim());
    let mut typed = json!({ "username": username, "password": field("password") });
    if !email.is_empty() {
        typed["email"] = email.into();
    }
    let made = match Fields::read::<RegisterRequest>(typed) {
        Ok(wanted) => services.register(wanted, from.0.clone()).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok(_) => {
            let wish = Wish { username, password: field("password"), keep: false, next: "/account" };
            login::begin(&services, &request, &from.0, &wish).await
        }
        Err(problem) => {
            let before = Before::of(&services, &request);
            let page = |flaws| form(&services, &before, (username, email), flaws);
            let answer = Flaws::of(problem)?.shown_by(page)?;
            Ok(before.on(answer))
        }
    }
}
