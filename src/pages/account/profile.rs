//! `/account`: shows the user's account and permissions, and changes the username or e-mail address.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::{Value, json};

use crate::guard::requirements::{AccountRead, AccountWrite};
use crate::guard::{Authorized, Caller};
use crate::http::fields::Fields;
use crate::http::request::Form;
use crate::operations::manage_users::FindUser;
use crate::operations::own_account::ChangeProfile;
use crate::operations::own_account::MeChanges;
use crate::pages::answer::answer;
use crate::pages::form_errors::FormErrors;
use crate::pages::seen_fields;
use crate::pages::shell::Shell;
use crate::refusal::Refusal;
use crate::state::State;
use crate::tokens::names::Names;
use crate::users::edit_tag::SeenFields;

#[derive(Template)]
#[template(path = "account/profile.html")]
struct Profile {
    shell: Shell,
    role: String,
    permissions: Names,
    username: String,
    email: String,
    seen: SeenFields,
    errors: FormErrors,
    done: Option<&'static str>,
}

fn page(caller: &Caller) -> Profile {
    Profile {
        shell: Shell::of(caller),
        role: caller.role.clone(),
        permissions: caller.permissions.clone(),
        username: caller.username.clone(),
        email: caller.email.clone().unwrap_or_default(),
        seen: SeenFields {
            username: caller.username.clone(),
            email: caller.email.clone(),
            role: None,
            status: None,
        },
        errors: FormErrors::none(),
        done: None,
    }
}

/// Shows the user's own account.
pub(crate) async fn show(guarded: Authorized<AccountRead>) -> Result<HttpResponse, Refusal> {
    answer(StatusCode::OK, &page(&guarded.caller))
}

/// Reads the form, and refuses it with every error.
fn check(caller: &Caller, typed: Value) -> Result<MeChanges, Refusal> {
    let draft = Fields::draft::<MeChanges>(typed)?;
    let mistakes = draft.value().mistakes(caller);
    draft.finish(mistakes)
}

/// Changes the username or e-mail address, if the account is still as the page showed it.
pub(crate) async fn change(
    state: web::Data<State>,
    guarded: Authorized<AccountWrite, Form>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { mut caller, input: sent, origin, .. } = guarded;
    let field = |name: &str| sent.field(name).unwrap_or_default().trim();
    let email = Some(field("email")).filter(|email| !email.is_empty());
    let typed = json!({ "username": field("username"), "email": email,
        "current_password": sent.field("current_password").unwrap_or_default() });
    let changed = match check(&caller, typed) {
        Ok(request) => {
            ChangeProfile { request, expected: seen_fields::read(&sent) }.run(&state, &caller, origin).await
        }
        Err(refusal) => Err(refusal),
    };
    match changed {
        Ok(user) => {
            caller.username = user.username;
            caller.email = user.email;
            answer(StatusCode::OK, &Profile { done: Some("Your details are saved."), ..page(&caller) })
        }
        Err(refusal) => {
            let errors = FormErrors::of(refusal)?;
            // This node's cache may not have the changes that others made.
            let user = FindUser { id: caller.user_id }.run(&state).await?;
            caller.username = user.username;
            caller.email = user.email;
            let (username, email) = (field("username").to_owned(), field("email").to_owned());
            errors.shown_by(|errors| Profile { username, email, errors, ..page(&caller) })
        }
    }
}
