//! `/admin/settings`: what is in force, and where it comes from.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use crate::guard::requirements::ServerRead;
use crate::guard::server::ShownSetting;
use crate::guard::{Authorized, Services};
use crate::pages::answer;
use crate::pages::shell::Shell;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "admin/settings.html")]
struct Settings<'a> {
    shell: Shell,
    items: &'a [ShownSetting],
    version: &'static str,
}

/// Lists them, secrets masked.
pub async fn show(
    services: web::Data<Services>,
    guarded: Authorized<ServerRead>,
) -> Result<HttpResponse, Problem> {
    let shell = Shell::of(&guarded.caller);
    answer(StatusCode::OK, &Settings { shell, items: &services.settings, version: env!("CARGO_PKG_VERSION") })
}
