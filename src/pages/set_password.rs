//! `/set-password/{token}`: the page behind a one-time link. The link authorizes the change, and the new
//! password uses it up.

use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::answer::answer;
use super::form_errors::{FormErrors, FormOutcome};
use super::shell::Shell;
use crate::audit::Origin;
use crate::guard::origin::RequestOrigin;
use crate::http::request::{Form, Public};
use crate::http::routing::Endpoint;
use crate::operations::new_password;
use crate::operations::throttle;
use crate::refusal::{Code, FieldError, Refusal};
use crate::state::State;
use crate::users::User;
use crate::users::password::{PasswordHash, PlainPassword};
use crate::users::set_password::{self, EndedCredentials, LinkToken, SetPasswordOutcome};

#[must_use]
pub(crate) fn routes() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/set-password/{token}")
            .get(show)
            .post(set)
            .codes(&[Code::NotFound, Code::TooManyAttempts]),
    ]
}

#[derive(Template)]
#[template(path = "set_password.html")]
struct SetPassword {
    shell: Shell,
    username: String,
    hint: String,
    errors: FormErrors,
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    shell: Shell,
    title: &'static str,
    text: String,
}

static GONE: LazyLock<Message> = LazyLock::new(|| {
    Message {
    shell: Shell::bare(),
    title: "This link is no longer good",
    text: "It was used, has been replaced by a newer one, the account's address was changed, or it is older than 24 hours. \
           Ask an administrator for another."
        .to_owned(),
}
});

fn done(user: &User, ended: EndedCredentials) -> Message {
    let tokens = match ended.tokens {
        Some(_) => "Its personal tokens are revoked: what used one needs a new one.",
        None => "Its personal tokens are still good.",
    };
    let next = if user.is_active() {
        "You can sign in with the new password now."
    } else {
        "The account is disabled, so you cannot sign in with it yet. An administrator can enable it."
    };
    Message {
        shell: if user.is_active() { Shell::open() } else { Shell::bare() },
        title: "The password is set",
        text: format!("Every earlier session of the account has ended. {tokens} {next}"),
    }
}

/// Looks up the user of a link. Each lookup counts as an attempt of its client address, even if the link
/// exists.
async fn find(state: &State, token: &str, origin: &Origin) -> Result<Option<User>, Refusal> {
    throttle::count_unverified(state, origin).await?;
    let digest = LinkToken::digest(token);
    state
        .core
        .database
        .run(move |connection| set_password::find_by_link(connection, &digest))
        .await
        .map_err(Refusal::from)
}

async fn show(
    state: web::Data<State>,
    token: web::Path<String>,
    from: RequestOrigin,
) -> Result<HttpResponse, Refusal> {
    let Some(user) = find(&state, &token, &from.0).await? else {
        return answer(StatusCode::NOT_FOUND, &*GONE);
    };
    answer(StatusCode::OK, &form(&state, user.username, FormErrors::none()))
}

fn form(state: &State, username: String, errors: FormErrors) -> SetPassword {
    SetPassword { shell: Shell::bare(), username, hint: hint(state), errors }
}

/// Returns a hint about the requirements on a new password.
#[must_use]
pub(crate) fn hint(state: &State) -> String {
    let least = state.core.passwords.policy().min_length;
    format!("At least {least} characters. A phrase of a few words is good; nothing else is asked of it.")
}

/// Returns an error if a form's second copy of the new password differs from the first.
#[must_use]
pub(crate) fn find_difference(sent: &Form) -> Option<FieldError> {
    let detail = "this is not the same as above".to_owned();
    let is_same = sent.field("again").unwrap_or_default() == sent.field("new_password").unwrap_or_default();
    (!is_same).then(|| FieldError::new("/again", "different", detail))
}

/// Hashes the new password of a form, or refuses the form with every error.
async fn hash_typed(state: &State, sent: &Form, user: &User) -> Result<PasswordHash, Refusal> {
    let password = PlainPassword::new(sent.field("new_password").unwrap_or_default());
    let names = (user.username.as_str(), user.email.as_deref());
    let Some(different) = find_difference(sent) else {
        return new_password::hash_new_password(state, password, names, "/new_password").await;
    };
    let names = std::iter::once(names.0).chain(names.1);
    let mut mistakes = new_password::find_errors(state, password, names, "/new_password").await?;
    mistakes.push(different);
    Err(Refusal::validation(mistakes))
}

async fn set(
    state: web::Data<State>,
    token: web::Path<String>,
    from: RequestOrigin,
    Public(sent): Public<Form>,
) -> Result<HttpResponse, Refusal> {
    let Some(user) = find(&state, &token, &from.0).await? else {
        return answer(StatusCode::NOT_FOUND, &*GONE);
    };
    let hash = match FormOutcome::from(hash_typed(&state, &sent, &user).await) {
        FormOutcome::Done(hash) => hash,
        FormOutcome::Invalid(errors) => {
            let page = form(&state, user.username, errors);
            return answer(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
        FormOutcome::Refused(refusal) => return Err(refusal),
    };
    let digest = LinkToken::digest(&token);
    let set = state
        .core
        .database
        .transaction(move |connection| set_password::consume_link(connection, &digest, &hash, &from.0))
        .await?;
    match set {
        SetPasswordOutcome::Done((user, ended)) => answer(StatusCode::OK, &done(&user, ended)),
        SetPasswordOutcome::NotFound | SetPasswordOutcome::Denied(_) => answer(StatusCode::NOT_FOUND, &*GONE),
    }
}
