//! `/`: says what doorward is, shows a refusal beside its explanation, and leads each visitor to their first step.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::answer::answer;
use super::shell::Shell;
use crate::refusal::Refusal;
use crate::state::State;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    shell: Shell,
    registers: bool,
}

/// Shows the page.
pub(crate) async fn show(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let shell = Shell::public(&request).await;
    answer(StatusCode::OK, &Home { shell, registers: state.web.registration_open })
}
