//! The HTML door, for people. Every page works without its script.

pub mod account;
pub mod admin;
pub mod assets;
pub mod device;
pub mod docs;
pub mod explanation;
pub mod flaws;
pub mod home;
pub mod login;
pub mod markdown;
pub mod moment;
pub mod next;
pub mod problems;
pub mod refused;
pub mod register;
pub mod seen;
pub mod set_password;
pub mod shell;
pub mod step_up;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use askama::Template;

use crate::guard::refusal;
use crate::problem::{Code, Problem};
use crate::routing::Endpoint;

pub use refused::refused;

/// What a page may load and where its forms may go.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

/// The routes.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    let own = vec![
        Endpoint::at("/").get(home::show),
        Endpoint::at("/login").get(login::show).post(login::sign_in).codes(&[
            Code::CsrfFailed,
            Code::InvalidCredentials,
            Code::AccountDisabled,
            Code::TooManyAttempts,
        ]),
        Endpoint::at("/register").get(register::show).post(register::register),
        Endpoint::at("/logout").post(login::sign_out),
        Endpoint::at("/step-up").get(step_up::show).post(step_up::step_up),
    ];
    let others = [
        account::routes(),
        admin::routes(),
        set_password::routes(),
        problems::routes(),
        docs::routes(),
        assets::routes(),
    ];
    own.into_iter().chain(others.into_iter().flatten()).map(Endpoint::cookie_only).collect()
}

/// A page, which no cache keeps.
fn answer(status: StatusCode, page: &impl Template) -> Result<HttpResponse, Problem> {
    let html = page.render().map_err(|error| {
        tracing::error!(%error, "a page could not be made");
        refusal::internal()
    })?;
    Ok(HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("content-security-policy", POLICY))
        .body(html))
}
