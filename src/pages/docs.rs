//! `/docs/…`: serves the documents in the folder `docs/` as pages. To add one, add its file and a line in
//! [`DOCUMENTS`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::answer::answer;
use super::markdown::{self, Rendered};
use super::problems::{kept, kept_page};
use super::shell::Shell;
use crate::http::routing::Endpoint;
use crate::refusal::{self, Code, Refusal};
use crate::state::State;

/// The path of each document, and its source.
const DOCUMENTS: &[(&str, &str)] = &[
    ("/docs/guide", include_str!("../../docs/guide.md")),
    ("/docs/settings", include_str!("../../docs/settings.md")),
    ("/docs/operations", include_str!("../../docs/operations.md")),
    ("/docs/django-rest-framework", include_str!("../../docs/django-rest-framework.md")),
    ("/docs/security", include_str!("../../docs/security.md")),
    ("/docs/reliability", include_str!("../../docs/reliability.md")),
    ("/docs/scaling", include_str!("../../docs/scaling.md")),
    ("/docs/backups", include_str!("../../docs/backups.md")),
];

/// The programs that the documents print, for downloading.
const EXAMPLES: &[(&str, &str)] = &[
    ("client.sh", include_str!("../../docs/examples/client.sh")),
    ("client.py", include_str!("../../docs/examples/client.py")),
    ("client.mjs", include_str!("../../docs/examples/client.mjs")),
    ("client.rs", include_str!("../../docs/examples/client.rs")),
    ("verify.py", include_str!("../../docs/examples/verify.py")),
    ("verify.mjs", include_str!("../../docs/examples/verify.mjs")),
    ("verify.rs", include_str!("../../docs/examples/verify.rs")),
];

/// The server in the documents' examples. A page replaces it by the address of this server.
const EXAMPLE_BASE: &str = "http://127.0.0.1:8080";

/// The documents as pages, each rendered once.
static PAGES: LazyLock<BTreeMap<&str, Rendered>> =
    LazyLock::new(|| DOCUMENTS.iter().map(|(path, source)| (*path, markdown::render(source))).collect());

#[derive(Template)]
#[template(path = "document.html")]
struct DocumentPage<'a> {
    shell: Shell,
    document: &'a Rendered,
    introduction: String,
    sections: String,
    previous: Option<Neighbour>,
    next: Option<Neighbour>,
}

/// A document before or after another.
struct Neighbour {
    path: &'static str,
    title: &'static str,
}

impl Neighbour {
    /// Returns the document at this place of the list.
    fn at(index: Option<usize>) -> Option<Self> {
        let (path, _) = DOCUMENTS.get(index?)?;
        Some(Self { path, title: &PAGES.get(path)?.title })
    }
}

#[must_use]
pub(crate) fn routes() -> Vec<Endpoint> {
    let documents = DOCUMENTS.iter().map(|(path, _)| Endpoint::at(path).get(show));
    documents.chain([Endpoint::at("/docs/examples/{file}").get(example).codes(&[Code::NotFound])]).collect()
}

/// Shows a document as a page, or its source if the client prefers Markdown.
pub(crate) async fn show(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let path = request.path();
    let found = DOCUMENTS.iter().find(|(at, _)| *at == path).zip(PAGES.get(path));
    let ((_, source), document) = found.ok_or_else(refusal::internal)?;
    let here = |text: &str| text.replace(EXAMPLE_BASE, &state.tokens.issuer.url);
    if wants_markdown(&request) {
        return Ok(kept(plain("text/markdown; charset=utf-8", here(source))));
    }
    let (introduction, sections) = (here(&document.introduction), here(&document.sections));
    let index = DOCUMENTS.iter().position(|(at, _)| *at == path);
    let previous = Neighbour::at(index.and_then(|index| index.checked_sub(1)));
    let next = Neighbour::at(index.map(|index| index + 1));
    let shell = Shell::public(&request).await;
    let page = DocumentPage { shell, document, introduction, sections, previous, next };
    Ok(kept_page(&request, answer(StatusCode::OK, &page)?))
}

/// Serves a program that a document prints.
pub(crate) async fn example(file: web::Path<String>) -> Result<HttpResponse, Refusal> {
    let found = EXAMPLES.iter().find(|(name, _)| *name == file.as_str());
    let (_, source) =
        found.ok_or_else(|| Refusal::new(Code::NotFound, "There is no such example. See /docs/guide."))?;
    Ok(kept(plain("text/plain; charset=utf-8", (*source).to_owned())))
}

fn plain(content_type: &'static str, text: String) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, content_type)).body(text)
}

fn wants_markdown(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|types| types.to_str().ok());
    accept.is_some_and(|types| types.starts_with("text/markdown"))
}
