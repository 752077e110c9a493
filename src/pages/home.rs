//! `/`: what this is, and where things are.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::answer::answer;
use super::shell::Shell;
use crate::refusal::Problem;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    shell: Shell,
}

/// Shows it.
pub async fn show() -> Result<HttpResponse, Problem> {
    answer(StatusCode::OK, &Home { shell: Shell::open() })
}
