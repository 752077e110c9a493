//! `/problems` and `/problems/{code}`: explains each code to people and programs that follow the `type` of a
//! problem.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, HeaderValue, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Serialize;

use super::answer::answer;
use super::code_colours::coloured;
use super::shell::Shell;
use crate::guard::visitor;
use crate::http::compressed::compress;
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
    terminal: bool,
    members: &'static [&'static str],
    page: &'static HelpPage,
    example: Example,
    /// The section of the guide that describes the next step for a client.
    #[serde(skip)]
    guide: &'static str,
}

impl Entry {
    /// Returns the next step as a sentence.
    fn next_step(&self) -> &'static str {
        next_step(self.action)
    }

    /// Returns the name of the next step.
    fn action_name(&self) -> String {
        action_name(self.action)
    }

    fn of(code: Code, state: &State) -> Self {
        Self {
            code: code.as_str(),
            status: code.status().as_u16(),
            title: code.title(),
            action: code.action(),
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

/// The codes with the same next step.
struct Group {
    action: Action,
    title: &'static str,
    entries: Vec<Entry>,
}

impl Group {
    fn next_step(&self) -> &'static str {
        next_step(self.action)
    }

    fn action_name(&self) -> String {
        action_name(self.action)
    }
}

/// The next steps in the order of the list, each with a title.
const ACTIONS: [(Action, &str); 7] = [
    (Action::FixRequest, "The client corrects the request"),
    (Action::Refresh, "The client refreshes the access token"),
    (Action::Login, "The user signs in again"),
    (Action::StepUp, "The user enters the password again"),
    (Action::RequestAccess, "The user asks for access"),
    (Action::Wait, "The client waits and retries"),
    (Action::ContactAdmin, "An administrator has to help"),
];

/// Returns a next step as a sentence.
fn next_step(action: Action) -> &'static str {
    match action {
        Action::Login => "Sign in again.",
        Action::Refresh => "Refresh the access token, then send the request again.",
        Action::StepUp => "Enter the password again. The session continues.",
        Action::Wait => "Wait as long as `Retry-After` or the detail says, then try again.",
        Action::FixRequest => "Correct the request. Sending it again unchanged does not help.",
        Action::RequestAccess => "Ask someone who can grant access.",
        Action::ContactAdmin => "Contact an administrator.",
    }
}

/// Returns the name of a next step in the JSON of a refusal.
fn action_name(action: Action) -> String {
    let name = serde_json::to_value(action).ok();
    name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Returns the codes by their next step.
fn grouped(state: &State) -> Vec<Group> {
    let group = |(action, title)| {
        let codes = Code::ALL.iter().filter(|code| code.action() == action);
        Group { action, title, entries: codes.map(|code| Entry::of(*code, state)).collect() }
    };
    ACTIONS.into_iter().map(group).filter(|group| !group.entries.is_empty()).collect()
}

/// Returns the code before and the code after this one, in the order of the list.
fn neighbours(code: Code) -> (Option<Code>, Option<Code>) {
    let ordered: Vec<Code> = ACTIONS
        .iter()
        .flat_map(|(action, _)| Code::ALL.iter().copied().filter(move |code| code.action() == *action))
        .collect();
    let index = ordered.iter().position(|other| *other == code);
    let at = |index: Option<usize>| index.and_then(|index| ordered.get(index).copied());
    (at(index.and_then(|index| index.checked_sub(1))), at(index.map(|index| index + 1)))
}

#[derive(Template)]
#[template(path = "problems.html")]
struct ListPage {
    shell: Shell,
    groups: Vec<Group>,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct EntryPage {
    shell: Shell,
    entry: Entry,
    /// The example's command and response as HTML.
    command: String,
    response: String,
    previous: Option<Code>,
    next: Option<Code>,
}

/// Lists the codes: as a page, or as JSON if the client prefers that.
pub(crate) async fn list(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    if wants_json(&request) {
        let entries: Vec<Entry> = Code::ALL.iter().map(|code| Entry::of(*code, &state)).collect();
        return Ok(kept(HttpResponse::Ok().insert_header(FOR_ALL).json(entries)));
    }
    let page = ListPage { shell: Shell::public(&request).await, groups: grouped(&state) };
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
    let (command, response) =
        (coloured("sh", &entry.example.command), coloured("http", &entry.example.answer));
    let (previous, next) = neighbours(code);
    let shell = Shell::public(&request).await;
    let page = EntryPage { shell, entry, command, response, previous, next };
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

/// Lets caches store a public page, and compresses it. It has no secret. A page for a browser with a session cookie may show a name, and only that
/// browser may keep it, after asking again.
pub(super) fn kept_page(request: &HttpRequest, answer: HttpResponse) -> HttpResponse {
    let mut answer = kept(answer);
    if visitor::has_cookie(request) {
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding, Cookie"));
    compress(request, answer)
}
