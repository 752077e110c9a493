//! `/explain`: answers "Why was I refused?". One field takes a request ID, a token, an `Authorization` header or a
//! curl command line. The page never repeats what was pasted.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use uuid::Uuid;

use super::answer::answer;
use super::explanation::{ExplanationPage, Reader};
use super::form_errors::FormErrors;
use super::shell::Shell;
use crate::audit::Origin;
use crate::explain::question::ExplainSubject;
use crate::explain::rehearsal::rehearse;
use crate::guard::Caller;
use crate::guard::csrf::AnonymousFormToken;
use crate::guard::origin::RequestOrigin;
use crate::guard::visitor::{Visitor, VisitorForm};
use crate::http::request::{Public, Query};
use crate::http::routing::RouteTable;
use crate::refusal::{self, Code, Refusal, path_without_secrets};
use crate::state::State;

/// The methods that the form offers.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/// The longest path that the form shows again, in characters.
const PATH_SHOWN: usize = 200;

#[derive(Template)]
#[template(path = "explain.html")]
struct ExplainPage {
    shell: Shell,
    csrf_token: String,
    /// The request ID in the field. Other pasted texts are never shown again.
    request_id: String,
    method: &'static str,
    path: String,
    methods: [&'static str; 5],
    /// The error of the pasted text.
    error: String,
    errors: FormErrors,
}

impl ExplainPage {
    fn empty(caller: Option<&Caller>) -> Self {
        Self {
            shell: Shell::of_visitor(caller),
            csrf_token: String::new(),
            request_id: String::new(),
            method: "",
            path: String::new(),
            methods: METHODS,
            error: String::new(),
            errors: FormErrors::none(),
        }
    }

    fn is_invalid(&self) -> bool {
        !self.error.is_empty() || !self.errors.is_empty()
    }
}

/// The query parameters of the page.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ExplainQuery {
    request_id: Option<String>,
}

/// Shows the form, or the explanation of the request in the query. An ID is no secret, unlike anything else that
/// the form takes.
pub(crate) async fn show(
    request: HttpRequest,
    from: RequestOrigin,
    visitor: Visitor,
    Public(Query(query)): Public<Query<ExplainQuery>>,
) -> Result<HttpResponse, Refusal> {
    let caller = visitor.0.as_ref();
    let sent = query.request_id.as_deref().unwrap_or_default();
    match Uuid::try_parse(sent.trim_start_matches("urn:uuid:")) {
        Ok(id) => {
            let asked = Asked { caller, origin: &from.0, request_id: Some(id), method: "", path: "" };
            asked.answer(&request, Ok(ExplainSubject::Request(id))).await
        }
        Err(_) => form(&request, StatusCode::OK, caller, ExplainPage::empty(caller)),
    }
}

/// Handles the form: shows the explanation, or the form with the error at its field.
pub(crate) async fn explain(
    request: HttpRequest,
    from: RequestOrigin,
    visitor: VisitorForm,
) -> Result<HttpResponse, Refusal> {
    let field = |name: &str| visitor.form.field(name).unwrap_or_default();
    let question = ExplainSubject::of_text(field("text"), field("method"), field("path"));
    let request_id = match &question {
        Ok(ExplainSubject::Request(id)) => Some(*id),
        _ => None,
    };
    let asked = Asked {
        caller: visitor.caller.as_ref(),
        origin: &from.0,
        request_id,
        method: field("method"),
        path: field("path"),
    };
    asked.answer(&request, question).await
}

/// A question with its sender, and what the form may show again.
struct Asked<'a> {
    caller: Option<&'a Caller>,
    origin: &'a Origin,
    request_id: Option<Uuid>,
    method: &'a str,
    path: &'a str,
}

impl Asked<'_> {
    async fn answer(
        &self,
        request: &HttpRequest,
        question: Result<ExplainSubject, Refusal>,
    ) -> Result<HttpResponse, Refusal> {
        let state = crate::state::of(request)?;
        match self.explanation(request, state, question).await {
            Ok(page) => answer(StatusCode::OK, &page),
            Err(refusal) => self.form_with(request, &refusal),
        }
    }

    async fn explanation(
        &self,
        request: &HttpRequest,
        state: &State,
        question: Result<ExplainSubject, Refusal>,
    ) -> Result<ExplanationPage, Refusal> {
        let routes = request.app_data::<web::Data<RouteTable>>().ok_or_else(refusal::internal)?;
        let explanation = question?.answer(state, routes, self.origin, self.caller).await?;
        let rehearsal = rehearse(state, routes, &explanation).await?;
        let shell = Shell::of_visitor(self.caller);
        let back = ("/explain", "Look up another refusal");
        let reader = Reader { caller: self.caller, now: state.core.clock.now() };
        Ok(ExplanationPage::new(shell, back, explanation, rehearsal, reader))
    }

    fn form_with(&self, request: &HttpRequest, refusal: &Refusal) -> Result<HttpResponse, Refusal> {
        let mut page = ExplainPage::empty(self.caller);
        match refusal.code() {
            Code::ValidationFailed => {
                page.errors = FormErrors::of(refusal.clone())?;
                page.error = error_of_text(&page.errors);
            }
            Code::NotFound | Code::TooManyAttempts => refusal.detail().clone_into(&mut page.error),
            _ => return Err(refusal.clone()),
        }
        page.request_id = self.request_id.map(|id| id.to_string()).unwrap_or_default();
        page.method = METHODS.into_iter().find(|method| *method == self.method).unwrap_or_default();
        // A token may have been pasted into the wrong field.
        page.path = Some(self.path)
            .filter(|path| path.starts_with('/') && path_without_secrets(path, PATH_SHOWN) == **path)
            .unwrap_or_default()
            .to_owned();
        let mut answer = form(request, refusal.code().status(), self.caller, page)?;
        if refusal.code() != Code::ValidationFailed {
            refusal::mark_refused(&mut answer, refusal);
        }
        Ok(answer)
    }
}

fn form(
    request: &HttpRequest,
    status: StatusCode,
    caller: Option<&Caller>,
    mut page: ExplainPage,
) -> Result<HttpResponse, Refusal> {
    if caller.is_some() {
        page.shell.csrf_token().clone_into(&mut page.csrf_token);
        return answer(status, &page);
    }
    let token = AnonymousFormToken::of(crate::state::of(request)?, request);
    page.csrf_token.clone_from(&token.token);
    Ok(token.on(answer(status, &page)?))
}

/// Returns the error of the one field, in whose place the API has two members.
fn error_of_text(errors: &FormErrors) -> String {
    match (errors.at("token").is_empty(), errors.at("request_id").is_empty()) {
        (true, true) => String::new(),
        _ => "Paste a request ID, a token, an Authorization header or a curl command line.".to_owned(),
    }
}
