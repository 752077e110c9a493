//! One log line and the metrics for each request, made from the same values as its answer. Never a secret: paths
//! without their queries, and neither headers nor bodies.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};

use crate::guard::{Caller, Services};
use crate::problem::{Code, Refused, RequestId};

/// Characters of what a client sends that stand in the log.
const SHOWN: usize = 64;

/// The middleware.
///
/// # Errors
/// The inner service's.
pub async fn observe<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let begun = Instant::now();
    let response = match next.call(request).await {
        Ok(response) => response,
        Err(error) => {
            // A panic, which is logged where it is caught.
            let status = error.as_response_error().status_code().as_u16().to_string();
            let labels =
                [("method", "unknown".to_owned()), ("route", "unknown".to_owned()), ("status", status)];
            metrics::counter!("doorward_requests_total", &labels).increment(1);
            metrics::counter!("doorward_refusals_total", "code" => Code::InternalError.as_str()).increment(1);
            return Err(error);
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
    let status = response.status().as_u16();
    let refused = response.response().extensions().get::<Refused>().copied();
    let method = method_name(response.request());
    let labels = [("method", method.to_owned()), ("route", route.clone()), ("status", status.to_string())];
    metrics::counter!("doorward_requests_total", &labels).increment(1);
    metrics::histogram!("doorward_request_seconds", "method" => method, "route" => route.clone())
        .record(seconds);
    if let Some(Refused(code)) = refused {
        metrics::counter!("doorward_refusals_total", "code" => code.as_str()).increment(1);
        if let Some(services) = response.request().app_data::<web::Data<Services>>() {
            services.refusal_counts.count(code.as_str());
        }
    }
    log(response.request(), &route, status, refused, seconds);
    Ok(response)
}

/// Methods that nobody defined would make as many time series as somebody likes.
fn method_name(request: &HttpRequest) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|method| *method == request.method().as_str()).unwrap_or("other")
}

fn log(request: &HttpRequest, route: &str, status: u16, refused: Option<Refused>, seconds: f64) {
    let extensions = request.extensions();
    let request_id = extensions.get::<RequestId>().map(|id| id.0.to_string());
    let caller = extensions.get::<Caller>();
    let services = request.app_data::<web::Data<Services>>();
    let address = services.and_then(|services| services.trusted_proxies.client_address(request));
    let came_in = request.headers().get("x-request-id").map(|id| printable(id.as_bytes()));
    let (method, path) = (method_name(request), printable(request.path().as_bytes()));
    let user = caller.map(|caller| caller.user_id.to_string());
    let session = caller.and_then(|caller| caller.credential.session_id()).map(|id| id.to_string());
    let code = refused.map(|refused| refused.0.as_str());
    let (address, milliseconds) = (address.map(|address| address.to_string()), (seconds * 1e6).round() / 1e3);
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                method,
                path,
                route,
                status,
                milliseconds,
                request_id,
                came_in,
                user,
                session,
                code,
                address,
                "request"
            )
        };
    }
    match status {
        500.. => line!(warn),
        _ if matches!(route, "/healthz" | "/readyz") => line!(debug),
        _ => line!(info),
    }
}

/// What a client sent, without what could forge a line or move a cursor.
fn printable(bytes: &[u8]) -> String {
    let shown = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' };
    bytes.iter().take(SHOWN).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_forge_a_line_is_not_shown() {
        assert_eq!(printable(b"/a\r\n\x1b[31m\xc3\xa9"), "/a???[31m??");
        assert_eq!(printable(&[b'x'; 200]).len(), SHOWN);
    }
}
