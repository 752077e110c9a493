//! The static files of pages. They are in memory, compressed once, and named by their content, so that a
//! browser requests each only once.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use aws_lc_rs::digest::{SHA256, digest};

use crate::http::compressed::Compressed;

/// A static file.
pub(crate) struct Asset {
    content_type: &'static str,
    body: Compressed,
    path: String,
}

impl Asset {
    #[must_use]
    pub(crate) fn new(name: &str, content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let hash = digest(&SHA256, &bytes);
        let hash: String = hash.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        let (stem, kind) = name.split_once('.').unwrap_or((name, ""));
        Self { content_type, body: Compressed::new(bytes), path: format!("/static/{stem}.{hash}.{kind}") }
    }

    fn embedded(name: &str, content_type: &'static str, bytes: &'static [u8]) -> Self {
        Self::new(name, content_type, Bytes::from_static(bytes))
    }

    /// Returns the path that serves the file.
    #[must_use]
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Responds with the file.
    pub(crate) fn answer(&self, request: &HttpRequest, caching: &'static str) -> HttpResponse {
        let mut answer = HttpResponse::Ok();
        answer.insert_header((CONTENT_TYPE, self.content_type)).insert_header((CACHE_CONTROL, caching));
        self.body.answer(request, answer)
    }
}

pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::embedded("app.css", "text/css; charset=utf-8", include_bytes!("../../static/app.css"))
});
/// The script. Every page also works without it.
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::embedded("app.js", "text/javascript; charset=utf-8", include_bytes!("../../static/app.js"))
});
/// Starts the API viewer.
pub(crate) static VIEWER: LazyLock<Asset> = LazyLock::new(|| {
    Asset::embedded("viewer.js", "text/javascript; charset=utf-8", include_bytes!("../../static/viewer.js"))
});
pub(crate) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::embedded("icon.svg", "image/svg+xml", include_bytes!("../../static/icon.svg")));
/// The small pictures of pages, each with an id.
pub(crate) static ICONS: LazyLock<Asset> =
    LazyLock::new(|| Asset::embedded("icons.svg", "image/svg+xml", include_bytes!("../../static/icons.svg")));

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::colour::{CONTRAST_MIN, Colour};

    const STYLE: &str = include_str!("../../static/app.css");

    /// Texts, each with the backgrounds on which the stylesheet shows it.
    const TEXTS: [(&str, &[&str]); 14] = [
        ("ink", &["paper", "sheet", "sunk", "code", "good", "amber", "bad", "note"]),
        ("faint", &["paper", "sheet", "sunk", "code"]),
        ("link", &["paper", "sheet", "sunk", "code"]),
        ("on-link", &["link"]),
        ("on-accent", &["accent"]),
        ("good-ink", &["good", "paper", "sheet"]),
        ("amber-ink", &["amber", "paper", "sheet"]),
        ("bad-ink", &["bad", "paper", "sheet"]),
        ("note-ink", &["note"]),
        ("sheet", &["bad-ink"]),
        ("code-keyword", &["code"]),
        ("code-string", &["code"]),
        ("code-number", &["code"]),
        ("code-name", &["code"]),
    ];
    /// Borders of fields, which need less contrast (WCAG 2.2, success criterion 1.4.11).
    const BORDERS: [(&str, &[&str]); 1] = [("field", &["paper", "sheet"])];
    const BORDER_CONTRAST_MIN: f64 = 3.0;

    /// Returns the colours of the tokens, light and dark.
    fn tokens() -> BTreeMap<&'static str, [Colour; 2]> {
        let lines = STYLE.lines().filter_map(|line| line.trim().strip_prefix("--"));
        let pairs = lines.filter_map(|line| {
            let (name, value) = line.split_once(": light-dark(")?;
            let (light, dark) = value.strip_suffix(");")?.split_once(", ")?;
            Some((name, [Colour::parse(light)?, Colour::parse(dark)?]))
        });
        pairs.collect()
    }

    fn too_faint(pairs: &[(&str, &[&str])], least: f64) -> Vec<String> {
        let tokens = tokens();
        let mut found = Vec::new();
        for (text, backgrounds) in pairs {
            for background in *backgrounds {
                for (theme, index) in [("light", 0), ("dark", 1)] {
                    let contrast = tokens[text][index].contrast(tokens[background][index]);
                    if contrast < least {
                        found.push(format!("--{text} on --{background}, {theme}: {contrast:.2}"));
                    }
                }
            }
        }
        found
    }

    #[test]
    fn every_text_has_enough_contrast_in_both_themes() {
        assert_eq!(too_faint(&TEXTS, CONTRAST_MIN), [""; 0]);
        assert_eq!(too_faint(&BORDERS, BORDER_CONTRAST_MIN), [""; 0]);
    }

    #[test]
    fn every_opaque_colour_is_in_a_tested_pair() {
        let tested = |name: &str| {
            let mut pairs = TEXTS.iter().chain(&BORDERS);
            pairs.any(|(text, backgrounds)| *text == name || backgrounds.contains(&name))
        };
        // Lines between boxes carry no information.
        let untested: Vec<&str> =
            tokens().into_keys().filter(|name| !tested(name) && *name != "line").collect();
        assert_eq!(untested, [""; 0]);
    }

    #[test]
    fn nothing_in_the_stylesheet_moves() {
        for word in ["@keyframes", "animation", "transition", "scroll-behavior"] {
            assert!(!STYLE.contains(word), "{word}");
        }
    }
}
