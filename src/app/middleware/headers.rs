//! Adds the security headers to every response.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, web};

use crate::refusal::RenderContext;

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// The headers for responses that do not set their own. Pages have their own policy, and other sites may load
/// public resources.
const ALWAYS: [(HeaderName, HeaderValue); 6] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (OPENER_POLICY, HeaderValue::from_static("same-origin")),
    (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    (PERMISSIONS_POLICY, HeaderValue::from_static(PERMISSIONS)),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING)),
];

/// The policy of responses that are not pages. They load nothing.
const NOTHING: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The features that no page uses. Copying to the clipboard stays allowed.
const PERMISSIONS: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

/// Two years (RFC 6797). Subdomains are not included, because they may belong to others.
const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// Middleware: adds the headers to the response.
///
/// # Errors
/// Those of the inner services, with the headers added to their response.
pub(crate) async fn write(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_https = request
        .app_data::<web::Data<RenderContext>>()
        .is_some_and(|found| found.base.starts_with("https://"));
    match next.call(request).await {
        Ok(response) => {
            let mut response = response.map_into_boxed_body();
            complete(response.headers_mut(), is_https);
            Ok(response)
        }
        Err(error) => {
            let mut response = error.error_response();
            complete(response.headers_mut(), is_https);
            Err(InternalError::from_response(error, response).into())
        }
    }
}

fn complete(headers: &mut HeaderMap, is_https: bool) {
    for (name, value) in ALWAYS {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    if is_https {
        headers.insert(STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::{App, HttpResponse, test};

    use super::super::finish::finish;
    use super::*;

    #[actix_web::test]
    async fn panic_response_has_the_security_headers() {
        let explode = || async { if true { panic!("on purpose") } else { HttpResponse::Ok().finish() } };
        let app = App::new().wrap(from_fn(finish)).wrap(from_fn(write)).default_service(web::to(explode));
        let app = test::init_service(app).await;
        let answered = test::try_call_service(&app, test::TestRequest::get().to_request()).await;
        let Err(error) = answered else { panic!("no panic") };
        let answer = error.error_response();
        assert_eq!(answer.status(), 500);
        assert!(ALWAYS.iter().all(|(name, value)| answer.headers().get(name) == Some(value)));
        assert!(answer.headers().contains_key("x-request-id"));
    }
}
