//! The HTML pages, for people. Every page works without its script.

pub mod account;
pub mod admin;
pub mod answer;
pub mod assets;
pub mod device;
pub mod docs;
pub mod explanation;
pub mod form_errors;
pub mod home;
pub mod login;
pub mod markdown;
pub mod problems;
pub mod redirect;
pub mod refused;
pub mod register;
pub mod return_to;
pub mod seen_fields;
pub mod set_password;
pub mod shell;
pub mod step_up;
pub mod timestamp;

use crate::http::routing::Endpoint;
use crate::refusal::{Code, Dialect};

pub use refused::refused;

/// The roots of the pages. Unmatched paths below them are refused with a page.
pub const ROOTS: [(&str, Dialect); 7] = [
    ("account", Dialect::Page),
    ("admin", Dialect::Page),
    ("login", Dialect::Page),
    ("logout", Dialect::Page),
    ("register", Dialect::Page),
    ("set-password", Dialect::Page),
    ("step-up", Dialect::Page),
];

/// Returns the routes of all pages and of the public documents. They accept only the session cookie.
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
    let pages = [own, account::routes(), admin::routes(), set_password::routes()];
    let documents = [problems::routes(), docs::routes(), assets::routes()];
    let pages = pages.into_iter().flatten().map(|page| page.refused_as(Dialect::Page));
    let documents = documents.into_iter().flatten().map(|document| document.refused_as(Dialect::ByAccept));
    pages.chain(documents).collect()
}
