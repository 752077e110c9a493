//! `/problems` and `/problems/{code}`: explains each code to people and programs that follow the `type` of a
//! problem.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, HeaderValue, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Serialize;

use super::answer::answer;
use super::shell::Shell;
use crate::http::response::FOR_ALL;
use crate::http::routing::Endpoint;
use crate::refusal::help::{Example, HelpPage};
use crate::refusal::{Action, Code, Refusal};
use crate::state::State;

#[must_use]
pub(crate) fn routes() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/problems").get(list),
        Endpoint::at("/problems/{code}").get(show).codes(&[Code::NotFound]),
    ]
}

/// A code with its help page.
#[derive(Serialize)]
struct Entry {
    code: &'static str,
    status: u16,
    title: &'static str,
    action: Action,
    #[serde(skip)]
    action_name: String,
    terminal: bool,
    members: &'static [&'static str],
    page: &'static HelpPage,
    example: Example,
    /// The section of the guide that describes the next step for a client.
    #[serde(skip)]
    guide: &'static str,
}

impl Entry {
    fn of(code: Code, state: &State) -> Self {
        let action_name =
            serde_json::to_value(code.action()).ok().and_then(|name| name.as_str().map(str::to_owned));
        Self {
            code: code.as_str(),
            status: code.status().as_u16(),
            title: code.title(),
            action: code.action(),
            action_name: action_name.unwrap_or_default(),
            terminal: code.is_terminal(),
            members: code.members(),
            page: code.page(),
            example: Example::read(code.page().example, &state.tokens.issuer.url),
            guide: match code.action() {
                Action::Login => "sign-in",
                Action::Refresh => "refresh",
                Action::StepUp => "step-up",
                Action::Wait | Action::FixRequest | Action::RequestAccess | Action::ContactAdmin => {
                    "read-a-refusal"
                }
            },
        }
    }
}

/// Splits a text at backquotes. True marks the parts that were between them and are code.
fn parts(text: &str) -> Vec<(bool, &str)> {
    text.split('`').enumerate().map(|(at, part)| (at % 2 == 1, part)).collect()
}

#[derive(Template)]
#[template(path = "problems.html")]
struct ListPage {
    shell: Shell,
    entries: Vec<Entry>,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct EntryPage {
    shell: Shell,
    entry: Entry,
}

/// Lists the codes: as a page, or as JSON if the client prefers that.
pub(crate) async fn list(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let entries: Vec<Entry> = Code::ALL.iter().map(|code| Entry::of(*code, &state)).collect();
    if wants_json(&request) {
        return Ok(kept(HttpResponse::Ok().insert_header(FOR_ALL).json(entries)));
    }
    Ok(kept(answer(StatusCode::OK, &ListPage { shell: Shell::open(), entries })?))
}

/// Shows the help page of a code, or JSON.
pub(crate) async fn show(
    state: web::Data<State>,
    request: HttpRequest,
    code: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let found = Code::parse(&code);
    let code = found
        .ok_or_else(|| Refusal::new(Code::NotFound, "There is no such code. See /problems for all codes."))?;
    let entry = Entry::of(code, &state);
    if wants_json(&request) {
        return Ok(kept(HttpResponse::Ok().insert_header(FOR_ALL).json(entry)));
    }
    Ok(kept(answer(StatusCode::OK, &EntryPage { shell: Shell::open(), entry })?))
}

fn wants_json(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|types| types.to_str().ok());
    accept.is_some_and(|types| types.starts_with("application/json"))
}

/// Lets caches store a response that is the same for everyone.
pub(super) fn kept(mut answer: HttpResponse) -> HttpResponse {
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    answer
}
