//! Refusals in another dialect than our own, for clients that were written for another server.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;

use super::challenge;

/// A refusal in another dialect. Log lines, metrics, kept refusals and explanations still use our code.
#[derive(Clone, Debug)]
pub struct Translated {
    pub status: StatusCode,
    /// The JSON body.
    pub body: Value,
    /// The realm of the challenge that a 401 has.
    pub realm: &'static str,
    /// The value of `Allow`.
    pub allow: &'static str,
}

impl Translated {
    /// Builds the response without its body, and keeps the headers that inner services have set.
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
