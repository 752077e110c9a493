//! Logs each request, counts it in the metrics, and keeps a record of each refusal, after the response is
//! built. Query strings, bodies and most headers are left out, because they may contain secrets.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};
use serde_json::json;
use tracing::Level;
use uuid::Uuid;

use super::meters;
use crate::audit::event::AddressDoubt;
use crate::audit::refusals::{EntryOwner, Lane, NewKeptRefusal};
use crate::blocking::caller;
use crate::guard::check::{Check, CredentialKind};
use crate::guard::trace::Trace;
use crate::http::routing::MatchedPath;
use crate::refusal::{AnsweredRefusal, Code, Refusal, RequestId, path_without_secrets, without_credentials};
use crate::state::State;

/// The header with which a client asks to keep the trace of an accepted request too.
const TRACE: &str = "x-doorward-trace";
/// The route in records of requests that match none.
const UNMATCHED: &str = "none";
/// The maximum number of characters that are recorded of each string from a client.
const SHOWN: usize = 128;

/// Middleware: runs the inner services and records their response.
pub(crate) async fn observe<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let started = Instant::now();
    let response = match next.call(request).await {
        Ok(response) => response,
        Err(error) => {
            // This is a panic, which is logged where it is caught.
            let status = error.as_response_error().status_code().as_u16();
            meters::count_request("unknown", "unknown", status, started.elapsed().as_secs_f64());
            meters::count_refusal(Code::InternalError.as_str(), "none");
            return Err(error);
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    let request = response.request();
    let route = request.app_data::<MatchedPath>().map_or(UNMATCHED, |matched| matched.0);
    let status = response.status();
    let refused = response.response().extensions().get::<AnsweredRefusal>().map(|refused| refused.0.clone());
    let trace = request.extensions_mut().remove::<Trace>().unwrap_or_default();
    let seen = ObservedRequest { request, route, status, refused, trace };
    seen.measure(seconds);
    if let Some(state) = request.app_data::<web::Data<State>>() {
        seen.keep(state);
    }
    seen.log(seconds);
    Ok(response)
}

/// A request with its response, of which the log line, the metrics and the record are made.
struct ObservedRequest<'a> {
    request: &'a HttpRequest,
    route: &'static str,
    status: StatusCode,
    refused: Option<Refusal>,
    trace: Trace,
}

impl ObservedRequest<'_> {
    fn measure(&self, seconds: f64) {
        meters::count_request(method_name(self.request), self.route, self.status.as_u16(), seconds);
        if let Some(refusal) = &self.refused {
            let check = self.trace.failed_at(refusal.code()).map_or("none", Check::as_str);
            meters::count_refusal(refusal.code().as_str(), check);
        }
    }

    /// Counts and keeps a refusal. Keeps the trace of an accepted request if its client asked for it.
    fn keep(&self, state: &State) {
        if let Some(refusal) = &self.refused {
            state.recorder.refusal_counts.count(refusal.code().as_str());
            let lane = self.lane(refusal.code());
            state.recorder.kept_refusals.offer(lane, self.owner(state, lane), || self.record(state, lane));
        } else if self.trace.is_verified() && self.request.headers().contains_key(TRACE) {
            let (lane, owner) = (Lane::Accepted, self.owner(state, Lane::Accepted));
            state.recorder.kept_refusals.offer(lane, owner, || self.record(state, lane));
        }
    }

    /// Returns the lane of a refusal. A verified credential that has ended counts less than an active one,
    /// because its owner can repeat it at will.
    fn lane(&self, code: Code) -> Lane {
        const OVER: [Check; 4] = [Check::Times, Check::Revocation, Check::Session, Check::User];
        if !self.trace.is_verified() {
            Lane::Unverified
        } else if self.trace.failed_at(code).is_some_and(|check| OVER.contains(&check)) {
            Lane::Ended
        } else {
            Lane::Verified
        }
    }

    fn owner(&self, state: &State, lane: Lane) -> EntryOwner {
        let of_session = || self.trace.session_id.map(EntryOwner::Session);
        let known = self.trace.user_id.map(EntryOwner::User).or_else(of_session);
        known.filter(|_| lane != Lane::Unverified).unwrap_or_else(|| {
            let client = state.web.trusted_proxies.client_address(self.request);
            EntryOwner::Network(client.map(|client| caller::network(client.address)))
        })
    }

    fn record(&self, state: &State, lane: Lane) -> NewKeptRefusal {
        let client = state.web.trusted_proxies.client_address(self.request);
        let refusal = self.refused.as_ref();
        NewKeptRefusal {
            request_id: self.request_id().unwrap_or_default(),
            lane: lane.as_str(),
            occurred_at: state.core.clock.now(),
            method: method_name(self.request),
            route: self.route.to_owned(),
            path: self.path(),
            status: i16::try_from(self.status.as_u16()).unwrap_or_default(),
            address: client.map(|client| client.address.to_string()),
            peer: self.request.peer_addr().map(|peer| peer.ip().to_string()),
            forwarded_for: self.forwarded_for(),
            credential_kind: self.trace.kind.map(CredentialKind::as_str),
            credential_id: self.trace.credential_id,
            session_id: self.trace.session_id,
            user_id: self.trace.user_id,
            code: refusal.map(|refusal| refusal.code().as_str()),
            problem: refusal.map(Refusal::to_record).unwrap_or_default(),
            checks: json!(self.trace.lines(refusal)),
        }
    }

    /// Returns the headers in which proxies report the client: `X-Forwarded-For`, `Forwarded`, or both.
    fn forwarded_for(&self) -> Option<String> {
        let header = |name| self.request.headers().get(name).map(|value| printable(value.as_bytes()));
        match (header("x-forwarded-for"), header("forwarded")) {
            (Some(old), Some(standard)) => Some(format!("{old} (Forwarded: {standard})")),
            (old, standard) => old.or(standard),
        }
    }

    fn request_id(&self) -> Option<Uuid> {
        self.request.extensions().get::<RequestId>().map(|id| id.0)
    }

    /// Returns the path without what may be a secret. If the route has a secret in its path, returns the
    /// route only.
    fn path(&self) -> String {
        match self.route {
            route if route.contains("{token}") => route.to_owned(),
            route if route == UNMATCHED || self.may_hold_anything(route) => {
                path_without_secrets(self.request.path(), SHOWN)
            }
            _ => printable(self.request.path().as_bytes()),
        }
    }

    /// Returns true if the path has a part for an ID, or if it was refused with a part that may name nothing.
    fn may_hold_anything(&self, route: &str) -> bool {
        let is_refused = self.status.is_client_error() || self.status.is_server_error();
        route.contains("id}") || route.contains('{') && is_refused
    }

    fn log(&self, seconds: f64) {
        let is_ours = self.status.is_server_error();
        let is_read = tracing::enabled!(Level::INFO) || is_ours && tracing::enabled!(Level::WARN);
        if !is_read {
            return;
        }
        let request_id = self.request_id().map(|id| id.to_string());
        let state = self.request.app_data::<web::Data<State>>();
        let client = state.and_then(|state| state.web.trusted_proxies.client_address(self.request));
        let address_doubt =
            client.as_ref().and_then(|client| client.doubt.as_ref()).map(AddressDoubt::as_str);
        let came_in = self.request.headers().get("x-request-id").map(|id| printable(id.as_bytes()));
        let (method, path, route) = (method_name(self.request), self.path(), self.route);
        let user = self.trace.user_id.map(|id| id.to_string());
        let session = self.trace.session_id.map(|id| id.to_string());
        let credential = self.trace.kind.map(CredentialKind::as_str);
        let code = self.refused.as_ref().map(|refusal| refusal.code());
        let check = code.and_then(|code| self.trace.failed_at(code)).map(Check::as_str);
        let code = code.map(Code::as_str);
        let status = self.status.as_u16();
        let address = client.map(|client| client.address.to_string());
        let milliseconds = (seconds * 1e6).round() / 1e3;
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
                    credential,
                    code,
                    check,
                    address,
                    address_doubt,
                    "request"
                )
            };
        }
        match route {
            _ if is_ours => line!(warn),
            "/healthz" | "/readyz" => line!(debug),
            _ => line!(info),
        }
    }
}

/// Returns the name of the method for metrics. Unknown methods share a name, so that a client cannot create
/// any number of time series.
fn method_name(request: &HttpRequest) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|method| *method == request.method().as_str()).unwrap_or("other")
}

/// Returns text from a client, without credentials and without characters that could forge a line or control
/// a terminal.
fn printable(bytes: &[u8]) -> String {
    let shown = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' };
    let text: String = bytes.iter().take(SHOWN).map(shown).collect();
    without_credentials(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unprintable_bytes_and_tokens_are_masked_in_log_lines() {
        assert_eq!(printable(b"/a\r\n\x1b[31m\xc3\xa9"), "/a???[31m??");
        assert_eq!(printable(&[b'x'; 200]).len(), SHOWN);
        assert_eq!(printable(b"1.2.3.4, for=dwp_abcdefgh1"), "1.2.3.4,?for=dwp_…");
    }
}
