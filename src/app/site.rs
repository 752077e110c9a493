//! Loads the looks of the pages from the settings. The logo is checked here, once, when the server starts.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Settings;
use crate::pages::site::{ImageFormat, Site, Support};

/// The largest logo, in bytes.
const LOGO_MAX: u64 = 64 * 1024;
/// The first bytes of a PNG image: the signature, and the head of the chunk that must come first (PNG, section
/// 5.2 and 11.2.1).
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";

/// The reason why the logo cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("DOORWARD_SITE_LOGO {path}: {reason}")]
pub struct LogoError {
    path: PathBuf,
    reason: String,
}

/// Returns the looks that the settings ask for.
///
/// # Errors
/// The logo cannot be used.
pub(crate) fn load(settings: &Settings) -> Result<Arc<Site>, LogoError> {
    let support = settings.site_support.as_ref();
    let support =
        support.map(|contact| Support { href: contact.href().to_owned(), text: contact.text().to_owned() });
    let logo = settings.site_logo.as_deref().map(read_logo).transpose()?;
    Ok(Arc::new(Site::new(settings.site_name.clone(), support, settings.site_colour, logo)))
}

fn read_logo(path: &Path) -> Result<(ImageFormat, Vec<u8>), LogoError> {
    let failed = |reason: String| LogoError { path: path.to_owned(), reason };
    let bytes = read_bounded(path).map_err(|error| {
        failed(format!("it cannot be read: {error}. Correct the path, or let doorward's user read the file"))
    })?;
    let Some(bytes) = bytes else {
        return Err(failed(format!("it has more than {LOGO_MAX} bytes. Make the image smaller")));
    };
    let Some(format) = format_of(&bytes) else {
        return Err(failed("it is neither a PNG nor an SVG image. Convert it to one of them".to_owned()));
    };
    Ok((format, bytes))
}

/// Reads a file; `None` if it is too large. A path that is no file could block for ever.
fn read_bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LOGO_MAX + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= LOGO_MAX).then_some(bytes))
}

/// Returns the format of an image, by its content.
fn format_of(bytes: &[u8]) -> Option<ImageFormat> {
    if bytes.starts_with(PNG) {
        return Some(ImageFormat::Png);
    }
    std::str::from_utf8(bytes).is_ok_and(is_svg).then_some(ImageFormat::Svg)
}

/// Returns true if the first element is `svg`, after a byte order mark, a declaration, comments and a document
/// type without a subset (XML 1.0, section 2.8). Browsers show an SVG image only with its namespace.
fn is_svg(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let skipped = [("<?", "?>"), ("<!--", "-->"), ("<!DOCTYPE", ">")]
            .iter()
            .find_map(|(start, end)| rest.strip_prefix(start)?.split_once(end).map(|(_, after)| after));
        match skipped {
            Some(after) => rest = after.trim_start(),
            None => break,
        }
    }
    let Some(inside) = rest.strip_prefix("<svg") else { return false };
    let tag = inside.split('>').next().unwrap_or_default();
    inside.starts_with(|next: char| next.is_ascii_whitespace()) && tag.contains("http://www.w3.org/2000/svg")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, resolve};

    const SVG: &str =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\"><path d=\"M0 0h9v9z\"/></svg>";

    fn load_file(content: &[u8]) -> Result<Arc<Site>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logo");
        std::fs::write(&path, content).unwrap();
        load_path(&path)
    }

    fn load_path(path: &Path) -> Result<Arc<Site>, String> {
        let inputs = Inputs::default().variable("DOORWARD_SITE_LOGO", path.to_str().unwrap());
        load(&resolve(&inputs).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn logo_is_a_png_or_an_svg_image() {
        let png = [PNG, &[0; 100]].concat();
        let documents = [
            SVG.to_owned(),
            format!("\u{feff}<?xml version=\"1.0\"?>\n<!-- a > b -->\n<!DOCTYPE svg>\n{SVG}"),
        ];
        assert!(load_file(&png).is_ok());
        for document in documents {
            assert!(load_file(document.as_bytes()).is_ok(), "{document}");
        }
    }

    #[test]
    fn file_that_is_not_an_image_is_refused() {
        let wrong: [&[u8]; 9] = [
            b"",
            b"\xff\xd8\xff\xe0\0\x10JFIF",
            b"GIF89a",
            b"\x89PNG\r\n\x1a\n",
            b"<!doctype html><html><body><svg xmlns=\"http://www.w3.org/2000/svg\"></svg>",
            b"<svg></svg>",
            b"<svgx xmlns=\"http://www.w3.org/2000/svg\"></svgx>",
            b"<?xml <svg xmlns=\"http://www.w3.org/2000/svg\">",
            b"\xfe\xff\0<\0s\0v\0g",
        ];
        for content in wrong {
            let error = load_file(content).err().unwrap_or_default();
            assert!(error.contains("neither a PNG nor an SVG"), "{content:?}: {error}");
        }
    }

    #[test]
    fn logo_over_64_kib_is_refused() {
        let most = usize::try_from(LOGO_MAX).unwrap();
        let largest = format!("{SVG}{}", " ".repeat(most - SVG.len()));
        assert!(load_file(largest.as_bytes()).is_ok());
        let error = load_file(format!("{largest} ").as_bytes()).err().unwrap_or_default();
        assert!(error.contains("more than 65536 bytes"), "{error}");
    }

    #[test]
    fn path_that_cannot_be_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (path, reason) in [
            (folder.path().join("missing.svg"), "No such file"),
            (folder.path().to_owned(), "it is not a file"),
        ] {
            let error = load_path(&path).err().unwrap_or_default();
            assert!(error.starts_with("DOORWARD_SITE_LOGO /") && error.contains(reason), "{error}");
        }
    }
}
