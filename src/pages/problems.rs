//! `/problems` and `/problems/{code}`: explains each code to people and programs that follow the `type` of a
//! problem.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, HeaderValue, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Serialize;

use super::answer::answer;
use super::shell::Shell;
use crate::guard::visitor;
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
    let page = ListPage { shell: Shell::public(&request).await, entries };
    Ok(kept_page(&request, answer(StatusCode::OK, &page)?))
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
    let page = EntryPage { shell: Shell::public(&request).await, entry };
    Ok(kept_page(&request, answer(StatusCode::OK, &page)?))
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

/// Lets caches store a public page. A page for a browser with a session cookie may show a name, and only that
/// browser may keep it, after asking again.
pub(super) fn kept_page(request: &HttpRequest, answer: HttpResponse) -> HttpResponse {
    let mut answer = kept(answer);
    if visitor::has_cookie(request) {
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Cookie"));
    answer
}
