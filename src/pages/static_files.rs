//! `/static/…`: serves the static files of pages.

use actix_web::{HttpRequest, HttpResponse, web};

use super::assets::{ICON, ICONS, SCRIPT, STYLE, VIEWER};
use super::site;
use crate::http::routing::Endpoint;
use crate::refusal::{Code, Refusal};

/// The caching of a file whose path changes with its content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const FOR_A_DAY: &str = "public, max-age=86400";

#[must_use]
pub(crate) fn routes() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/static/{file}").get(show).codes(&[Code::NotFound]),
        Endpoint::at("/favicon.ico").get(show_icon),
    ]
}

/// Serves a static file.
pub(crate) async fn show(request: HttpRequest, file: web::Path<String>) -> Result<HttpResponse, Refusal> {
    let site = site::of_thread();
    let embedded = [&STYLE, &SCRIPT, &VIEWER, &ICON, &ICONS].map(|asset| &**asset);
    let mut assets = embedded.into_iter().chain(site.style()).chain(site.logo());
    let found = assets.find(|asset| asset.path().strip_prefix("/static/") == Some(file.as_str()));
    let asset = found.ok_or_else(|| Refusal::new(Code::NotFound, "There is no such file."))?;
    Ok(asset.answer(&request, FOR_EVER))
}

/// Serves the icon at the address that browsers try for documents without a link to one.
pub(crate) async fn show_icon(request: HttpRequest) -> HttpResponse {
    site::of_thread().logo().unwrap_or(&ICON).answer(&request, FOR_A_DAY)
}
