//! `/`: introduces this server and links to its parts.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::answer::answer;
use super::shell::Shell;
use crate::refusal::Refusal;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    shell: Shell,
}

/// Shows the page.
pub(crate) async fn show() -> Result<HttpResponse, Refusal> {
    answer(StatusCode::OK, &Home { shell: Shell::open() })
}
