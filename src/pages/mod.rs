//! The HTML pages, for people. Every page works without its script.

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod answer;
pub(crate) mod assets;
pub(crate) mod check_words;
pub(crate) mod code_colours;
pub(crate) mod device;
pub(crate) mod docs;
pub(crate) mod explain;
pub(crate) mod explanation;
pub(crate) mod form_errors;
pub(crate) mod home;
pub(crate) mod login;
pub(crate) mod markdown;
pub(crate) mod marked;
pub(crate) mod problems;
pub(crate) mod redirect;
pub(crate) mod reference;
pub(crate) mod refused;
pub(crate) mod register;
pub mod return_to;
pub(crate) mod seen_fields;
pub(crate) mod set_password;
pub(crate) mod shell;
pub(crate) mod site;
pub(crate) mod static_files;
pub(crate) mod step_up;
pub(crate) mod theme;
pub(crate) mod timestamp;

use crate::http::routing::Endpoint;
use crate::refusal::{Code, Dialect};

pub(crate) use refused::refused;

/// The roots of the pages. Unmatched paths below them are refused with a page.
pub const ROOTS: [(&str, Dialect); 8] = [
    ("account", Dialect::Page),
    ("admin", Dialect::Page),
    ("explain", Dialect::Page),
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
        Endpoint::at("/.well-known/change-password").get(redirect::to_password),
        Endpoint::at("/login").get(login::show).post(login::sign_in).codes(&[
            Code::CsrfFailed,
            Code::InvalidCredentials,
            Code::AccountDisabled,
            Code::TooManyAttempts,
        ]),
        Endpoint::at("/register").get(register::show).post(register::register),
        Endpoint::at("/logout").get(login::ask_sign_out).post(login::sign_out),
        Endpoint::at("/explain").get(explain::show).post(explain::explain).codes(&[
            Code::CsrfFailed,
            Code::NotFound,
            Code::TooManyAttempts,
        ]),
        Endpoint::at("/step-up").get(step_up::show).post(step_up::step_up),
    ];
    let pages = [own, account::routes(), admin::routes(), set_password::routes(), theme::routes()];
    let documents = [problems::routes(), docs::routes(), static_files::routes()];
    let pages = pages.into_iter().flatten().map(|page| page.refused_as(Dialect::Page));
    let documents = documents.into_iter().flatten().map(|document| document.refused_as(Dialect::ByAccept));
    pages.chain(documents).collect()
}
