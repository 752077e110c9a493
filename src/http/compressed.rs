//! Compresses responses that are the same for everyone, once (RFC 9110, section 8.4.1.3). A response with a
//! secret is never compressed, because its length could disclose the secret.

use std::io::Write;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue, VARY};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::response::in_memory_once;

/// A body that stays in memory, plain and compressed.
#[derive(Debug)]
pub(crate) struct Compressed {
    plain: Bytes,
    /// The body in gzip's format; `None` if that is not shorter.
    gzip: Option<Bytes>,
}

impl Compressed {
    #[must_use]
    pub(crate) fn new(plain: impl Into<Bytes>) -> Self {
        let plain = plain.into();
        let gzip = gzip(&plain, Compression::best()).filter(|gzip| gzip.len() < plain.len()).map(Bytes::from);
        Self { plain, gzip }
    }

    /// Responds with the form that the client accepts.
    #[must_use]
    pub(crate) fn answer(&self, request: &HttpRequest, mut answer: HttpResponseBuilder) -> HttpResponse {
        let Some(gzip) = &self.gzip else {
            return in_memory_once(answer, self.plain.clone());
        };
        answer.append_header((VARY, "Accept-Encoding"));
        if !accepts_gzip(request.headers()) {
            return in_memory_once(answer, self.plain.clone());
        }
        answer.insert_header((CONTENT_ENCODING, "gzip"));
        in_memory_once(answer, gzip.clone())
    }
}

/// Compresses a response that has no secret, if the client accepts that. It is compressed for each request, so
/// quickly rather than well.
#[must_use]
pub(crate) fn compress(request: &HttpRequest, answer: HttpResponse) -> HttpResponse {
    if !accepts_gzip(request.headers()) {
        return answer;
    }
    let (mut head, body) = answer.into_parts();
    let plain = match body.try_into_bytes() {
        Ok(plain) => plain,
        Err(body) => return head.set_body(body),
    };
    let Some(short) = gzip(&plain, Compression::fast()).filter(|short| short.len() < plain.len()) else {
        return head.set_body(BoxBody::new(plain));
    };
    head.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.set_body(BoxBody::new(short))
}

fn gzip(plain: &[u8], level: Compression) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

/// Returns true if `Accept-Encoding` allows gzip (RFC 9110, section 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let listed = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    let (mut named, mut any) = (None, None);
    for part in listed.flat_map(|list| list.split(',')) {
        let (name, weight) = part.split_once(';').unwrap_or((part, ""));
        let is_allowed = !is_zero(weight.trim());
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => named = Some(is_allowed),
            "*" => any = Some(is_allowed),
            _ => {}
        }
    }
    named.or(any).unwrap_or(false)
}

/// Returns true for the weight `q=0`, with any number of decimals.
fn is_zero(weight: &str) -> bool {
    let value = weight.strip_prefix("q=").or_else(|| weight.strip_prefix("Q="));
    value.is_some_and(|value| {
        value.starts_with('0') && !value.contains(|digit: char| ('1'..='9').contains(&digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(list: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT_ENCODING, HeaderValue::from_str(list).unwrap());
        accepts_gzip(&headers)
    }

    #[test]
    fn gzip_is_sent_only_if_it_is_accepted() {
        for list in ["gzip", "br, gzip", "GZIP;q=0.5", "x-gzip", "*", "gzip, *;q=0", "deflate, gzip;q=1.0"] {
            assert!(accepts(list), "{list}");
        }
        for list in ["", "br", "gzip;q=0", "gzip; q=0.000", "*;q=0", "gzip;q=0, *", "identity"] {
            assert!(!accepts(list), "{list}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn body_is_compressed_only_if_that_is_shorter() {
        assert!(Compressed::new("a").gzip.is_none());
        assert!(Compressed::new("a".repeat(1_000)).gzip.is_some_and(|gzip| gzip.len() < 100));
    }
}
