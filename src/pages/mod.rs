//! The HTML pages, for people. Every page works without its script.

pub mod account;
pub mod admin;
pub mod answer;
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
pub mod redirect;
pub mod refused;
pub mod register;
pub mod seen;
pub mod set_password;
pub mod shell;
pub mod step_up;

use crate::http::routing::Endpoint;
use crate::refusal::Code;

pub use refused::refused;

/// Returns the routes of all pages. They accept only the session cookie.
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
