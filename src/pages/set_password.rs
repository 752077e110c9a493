//! `/set-password/{token}`: where a one-time link leads. The link is the proof; it is spent by the new password.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::answer;
use crate::guard::input::{Form, From, Open};
use crate::guard::{Services, refusal};
use crate::problem::{Code, Problem};
use crate::routing::Endpoint;
use crate::users::User;
use crate::users::password::PlainPassword;
use crate::users::set_password::{self, LinkToken, Setting};

/// The routes.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    vec![Endpoint::at("/set-password/{token}").get(show).post(set).codes(&[Code::NotFound])]
}

#[derive(Template)]
#[template(path = "set_password.html")]
struct SetPassword {
    username: String,
    min_length: usize,
    flaws: Vec<String>,
    again_flaw: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    title: &'static str,
    text: &'static str,
}

const GONE: Message = Message {
    title: "This link is no longer good",
    text: "It was used, has been replaced by a newer one, or is older than 24 hours. Ask an administrator for another.",
};
const DONE: Message = Message {
    title: "The password is set",
    text: "Every earlier session of the account has ended. You can sign in with the new password now.",
};

async fn find(services: &Services, token: &str) -> Result<Option<User>, Problem> {
    let digest = LinkToken::digest(token);
    services
        .database
        .run(move |connection| set_password::find_by_link(connection, &digest))
        .await
        .map_err(refusal::database)
}

async fn show(services: web::Data<Services>, token: web::Path<String>) -> Result<HttpResponse, Problem> {
    let Some(user) = find(&services, &token).await? else { return answer(StatusCode::NOT_FOUND, &GONE) };
    answer(StatusCode::OK, &form(&services, user.username, Vec::new(), None))
}

fn form(
    services: &Services,
    username: String,
    flaws: Vec<String>,
    again_flaw: Option<&'static str>,
) -> SetPassword {
    SetPassword { username, min_length: services.passwords.policy().min_length, flaws, again_flaw }
}

async fn set(
    services: web::Data<Services>,
    token: web::Path<String>,
    from: From,
    Open(sent): Open<Form>,
) -> Result<HttpResponse, Problem> {
    let Some(user) = find(&services, &token).await? else { return answer(StatusCode::NOT_FOUND, &GONE) };
    let typed = sent.field("new_password").unwrap_or_default();
    let password = PlainPassword::new(typed);
    let names: Vec<&str> =
        [Some(user.username.as_str()), user.email.as_deref()].into_iter().flatten().collect();
    let flaws: Vec<String> =
        services.passwords.flaws(&password, &names).iter().map(ToString::to_string).collect();
    let again_flaw = (sent.field("again") != Some(typed)).then_some("This is not the same as above.");
    if !flaws.is_empty() || again_flaw.is_some() {
        let page = form(&services, user.username, flaws, again_flaw);
        return answer(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    let hash = services.passwords.hash(password).await.map_err(refusal::hashing)?;
    let digest = LinkToken::digest(&token);
    let set = services
        .database
        .transaction(move |connection| set_password::consume_link(connection, &digest, &hash, &from.0))
        .await
        .map_err(refusal::database)?;
    match set {
        Setting::Done(_) => answer(StatusCode::OK, &DONE),
        Setting::NotFound | Setting::Denied(_) => answer(StatusCode::NOT_FOUND, &GONE),
    }
}
