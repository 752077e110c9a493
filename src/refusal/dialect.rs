//! A refusal in the words of another contract than ours, for clients that were written against that one.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;

use super::challenge;

/// What the other contract answers. Log, metrics, record and explanation know the refusal by our code all the same.
#[derive(Clone, Debug)]
pub struct Translated {
    /// The status.
    pub status: StatusCode,
    /// The body, JSON.
    pub body: Value,
    /// The realm of a 401's challenge.
    pub realm: &'static str,
    /// The methods that there are.
    pub allow: &'static str,
}

impl Translated {
    /// The answer but for its body, with the headers that inner parts have set already.
    pub(super) fn answer(&self, kept: &HeaderMap) -> HttpResponse {
        let mut answer = HttpResponse::new(self.status);
        let headers = answer.headers_mut();
        for (name, value) in kept {
            headers.append(name.clone(), value.clone());
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(ALLOW, HeaderValue::from_static(self.allow));
        if self.status == StatusCode::UNAUTHORIZED {
            challenge::write_realm(self.realm, headers);
        }
        answer
    }
}
