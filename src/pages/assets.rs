//! The static files of pages. They are embedded and named by their content, so that a browser requests each
//! only once.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{self, Bytes};
use aws_lc_rs::digest::{SHA256, digest};

use crate::http::response::in_memory_once;
use crate::http::routing::Endpoint;
use crate::refusal::{Code, Refusal};

/// A file in `static/`.
pub(crate) struct Asset {
    content_type: &'static str,
    bytes: &'static [u8],
    path: String,
}

impl Asset {
    fn new(name: &str, content_type: &'static str, bytes: &'static [u8]) -> Self {
        let hash = digest(&SHA256, bytes);
        let hash: String = hash.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        let (stem, kind) = name.split_once('.').unwrap_or((name, ""));
        Self { content_type, bytes, path: format!("/static/{stem}.{hash}.{kind}") }
    }

    /// Returns the path that serves the file.
    #[must_use]
    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("app.css", "text/css; charset=utf-8", include_bytes!("../../static/app.css"))
});
/// The script. Every page also works without it.
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("app.js", "text/javascript; charset=utf-8", include_bytes!("../../static/app.js"))
});
pub(crate) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon.svg", "image/svg+xml", include_bytes!("../../static/icon.svg")));

#[must_use]
pub(crate) fn routes() -> Vec<Endpoint> {
    vec![Endpoint::at("/static/{file}").get(show).codes(&[Code::NotFound])]
}

/// Serves a static file.
pub(crate) async fn show(file: web::Path<String>) -> Result<HttpResponse, Refusal> {
    let assets = [&STYLE, &SCRIPT, &ICON];
    let found = assets.iter().find(|asset| asset.path.strip_prefix("/static/") == Some(file.as_str()));
    let asset = found.ok_or_else(|| Refusal::new(Code::NotFound, "There is no such file."))?;
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, asset.content_type))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"));
    Ok(in_memory_once(answer, Bytes::from_static(asset.bytes)))
}
