//! `/docs/`: the API reference, which lists every operation and works without script, and `/docs/try`, the page
//! around the viewer that sends requests.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::answer::answer;
use super::assets;
use super::problems::kept_page;
use super::shell::Shell;
use crate::http::routing::Rule;
use crate::refusal::{Code, Refusal};

/// The policy of the viewer's page. The viewer adds its own inline styles to the page.
const VIEWER_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                             img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; \
                             frame-ancestors 'none'";

/// The operations of the API.
pub(crate) struct Reference {
    pub groups: Vec<Group>,
    /// The codes that every guarded operation can return.
    pub codes_of_guard: Vec<Code>,
}

/// Operations about one subject.
pub(crate) struct Group {
    pub title: String,
    pub about: String,
    pub operations: Vec<Operation>,
}

impl Group {
    #[must_use]
    pub(crate) fn new(title: String, about: String) -> Self {
        Self { title, about, operations: Vec::new() }
    }

    /// Returns the ID of the group's heading.
    #[must_use]
    pub(crate) fn anchor(&self) -> String {
        self.title.to_lowercase().replace(' ', "-")
    }
}

/// An operation of the API.
pub(crate) struct Operation {
    /// The `operationId`.
    pub id: String,
    pub method: String,
    pub path: String,
    pub summary: String,
    /// The paragraphs below the summary.
    pub description: String,
    /// True if no credential is read.
    pub is_open: bool,
    pub rule: Option<Rule>,
    /// The codes of the operation besides those of the guard.
    pub codes: Vec<Code>,
}

impl Operation {
    /// Returns the permission that the operation requires.
    #[must_use]
    pub(crate) fn permission(&self) -> Option<&'static str> {
        self.rule.and_then(|rule| rule.permission)
    }

    /// Returns true if the operation requires a recent sign-in.
    #[must_use]
    pub(crate) fn is_fresh(&self) -> bool {
        self.rule.is_some_and(|rule| rule.fresh)
    }

    /// Returns the paragraphs of the description.
    #[must_use]
    pub(crate) fn paragraphs(&self) -> Vec<&str> {
        self.description.split("\n\n").filter(|paragraph| !paragraph.is_empty()).collect()
    }
}

#[derive(Template)]
#[template(path = "reference.html")]
struct ReferencePage<'a> {
    shell: Shell,
    reference: &'a Reference,
}

#[derive(Template)]
#[template(path = "viewer.html")]
struct ViewerPage {
    shell: Shell,
    script: &'static str,
}

/// Shows the reference.
pub(crate) async fn show(request: &HttpRequest, reference: &Reference) -> Result<HttpResponse, Refusal> {
    let page = ReferencePage { shell: Shell::public(request).await, reference };
    Ok(kept_page(request, answer(StatusCode::OK, &page)?))
}

/// Shows the page of the viewer.
pub(crate) async fn show_viewer(request: &HttpRequest) -> Result<HttpResponse, Refusal> {
    let page = ViewerPage { shell: Shell::public(request).await, script: assets::VIEWER.path() };
    let mut answer = kept_page(request, answer(StatusCode::OK, &page)?);
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(VIEWER_POLICY));
    Ok(answer)
}
