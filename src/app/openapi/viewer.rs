//! The viewer of the OpenAPI document, Swagger UI. Its files are part of this program.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa_swagger_ui::Config;

use crate::http::compressed::Compressed;
use crate::pages::reference;
use crate::refusal::{Code, Refusal};

/// The files that the viewer needs.
const NAMES: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];

/// A file of the viewer.
struct ViewerFile {
    name: &'static str,
    content_type: String,
    body: Compressed,
}

/// The files, compressed once.
static FILES: LazyLock<Vec<ViewerFile>> = LazyLock::new(|| NAMES.into_iter().filter_map(read).collect());

fn read(name: &'static str) -> Option<ViewerFile> {
    match utoipa_swagger_ui::serve(name, Arc::new(Config::from("/openapi.json"))) {
        Ok(Some(found)) => {
            let body = Compressed::new(Bytes::from(found.bytes.into_owned()));
            Some(ViewerFile { name, content_type: found.content_type, body })
        }
        Ok(None) => None,
        Err(error) => {
            tracing::error!(%error, "the API viewer could not be read");
            None
        }
    }
}

/// Shows the viewer.
pub(super) async fn show(request: HttpRequest) -> Result<HttpResponse, Refusal> {
    reference::show_viewer(&request).await
}

/// Serves a file of the viewer.
pub(super) async fn file(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, Refusal> {
    let found = FILES.iter().find(|file| file.name == name.as_str());
    let file =
        found.ok_or_else(|| Refusal::new(Code::NotFound, "The viewer has no such file. See /docs/."))?;
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, file.content_type.as_str()))
        .insert_header((CACHE_CONTROL, "public, max-age=3600"));
    Ok(file.body.answer(&request, answer))
}
