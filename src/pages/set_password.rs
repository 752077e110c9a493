//! `/set-password/{token}`: where a one-time link leads. The link is the proof; it is spent by the new password.

use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::answer;
use super::flaws::Flaws;
use super::shell::Shell;
use crate::audit::Origin;
use crate::guard::input::{Form, From, Open};
use crate::guard::{Services, refusal};
use crate::problem::{Code, Problem};
use crate::routing::Endpoint;
use crate::users::User;
use crate::users::password::PlainPassword;
use crate::users::set_password::{self, Ended, LinkToken, Setting};

/// The routes.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
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
    flaws: Flaws,
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

fn done(user: &User, ended: Ended) -> Message {
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

/// Each look counts against its address, whether or not there is such a link.
async fn find(services: &Services, token: &str, origin: &Origin) -> Result<Option<User>, Problem> {
    services.count_unproven(origin).await?;
    let digest = LinkToken::digest(token);
    services
        .database
        .run(move |connection| set_password::find_by_link(connection, &digest))
        .await
        .map_err(refusal::database)
}

async fn show(
    services: web::Data<Services>,
    token: web::Path<String>,
    from: From,
) -> Result<HttpResponse, Problem> {
    let Some(user) = find(&services, &token, &from.0).await? else {
        return answer(StatusCode::NOT_FOUND, &*GONE);
    };
    answer(StatusCode::OK, &form(&services, user.username, Flaws::none()))
}

fn form(services: &Services, username: String, flaws: Flaws) -> SetPassword {
    SetPassword { shell: Shell::bare(), username, hint: hint(services), flaws }
}

/// What a new password must be like.
#[must_use]
pub fn hint(services: &Services) -> String {
    let least = services.passwords.policy().min_length;
    format!("At least {least} characters. A phrase of a few words is good; nothing else is asked of it.")
}

async fn set(
    services: web::Data<Services>,
    token: web::Path<String>,
    from: From,
    Open(sent): Open<Form>,
) -> Result<HttpResponse, Problem> {
    let Some(user) = find(&services, &token, &from.0).await? else {
        return answer(StatusCode::NOT_FOUND, &*GONE);
    };
    let typed = sent.field("new_password").unwrap_or_default();
    let password = PlainPassword::new(typed);
    let names = (user.username.as_str(), user.email.as_deref());
    let hashed = if sent.field("again") == Some(typed) {
        services.hash_new_password(password, names, "/new_password").await.map_err(Flaws::of)
    } else {
        Err(Ok(Flaws::of_field("again", "This is not the same as above.")))
    };
    let hash = match hashed {
        Ok(hash) => hash,
        Err(flaws) => {
            let page = form(&services, user.username, flaws?);
            return answer(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    let digest = LinkToken::digest(&token);
    let set = services
        .database
        .transaction(move |connection| set_password::consume_link(connection, &digest, &hash, &from.0))
        .await
        .map_err(refusal::database)?;
    match set {
        Setting::Done(user, ended) => answer(StatusCode::OK, &done(&user, ended)),
        Setting::NotFound | Setting::Denied(_) => answer(StatusCode::NOT_FOUND, &*GONE),
    }
}
