//! `/admin/settings`: shows the effective settings and where each comes from.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use crate::guard::Authorized;
use crate::guard::requirements::ServerRead;
use crate::pages::answer::answer;
use crate::pages::shell::Shell;
use crate::refusal::Refusal;
use crate::state::ShownSetting;
use crate::state::State;

#[derive(Template)]
#[template(path = "admin/settings.html")]
struct Settings<'a> {
    shell: Shell,
    items: &'a [ShownSetting],
    version: &'static str,
}

/// Lists the settings, with secrets masked.
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<ServerRead>,
) -> Result<HttpResponse, Refusal> {
    let shell = Shell::of(&guarded.caller);
    answer(
        StatusCode::OK,
        &Settings { shell, items: &state.web.settings, version: env!("CARGO_PKG_VERSION") },
    )
}
