//! Recognizes the visitor of a page that anyone may open: the owner of a live session, or nobody.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use super::caller::Caller;
use super::check::Check;
use super::credential::SentCredential;
use super::csrf::{self, AnonymousForm};
use super::session_cookie::{self, SentCookie};
use super::trace::Trace;
use super::{AnyCaller, Requirement, checks};
use crate::blocking::caller::{WorkOwner, on_behalf_of};
use crate::database;
use crate::http::request::{Form, read_input};
use crate::http::routing::RequiresPermission;
use crate::refusal::Refusal;
use crate::state::{self, State};

/// The longest time that a page waits for the name of its visitor.
const PATIENCE: Duration = Duration::from_millis(300);

/// Returns the visitor of a public page, who is nobody for any reason: no cookie, a forged one, a session that
/// has ended, or a database that is away or slow. A public page is never refused, redirected or held up, and
/// the visit does not count as a use of the session.
pub(crate) async fn recognize(request: &HttpRequest) -> Option<Caller> {
    let state = state::of(request).ok()?;
    let sent = signed_cookie(state, request)?;
    let client = state.web.trusted_proxies.client_address(request).filter(|client| client.doubt.is_none());
    let owner = WorkOwner::at(client.map(|client| client.address));
    let mut trace = Trace::default();
    let found = checks::identify_sent(state, &sent, &mut trace);
    let found = on_behalf_of(owner, database::within(PATIENCE, found));
    tokio::time::timeout(PATIENCE, found).await.ok()?.ok()
}

/// Returns whether the request carries a session cookie, valid or not.
pub(crate) fn has_cookie(request: &HttpRequest) -> bool {
    let sent = |state: &State| session_cookie::read_cookie(request, &state.web.browser);
    state::of(request).is_ok_and(|state| sent(state) != SentCookie::Missing)
}

fn signed_cookie(state: &State, request: &HttpRequest) -> Option<SentCredential> {
    match session_cookie::read_cookie(request, &state.web.browser) {
        SentCookie::Signed(digest) => Some(SentCredential::Cookie(digest)),
        SentCookie::Missing | SentCookie::Forged => None,
    }
}

/// The visitor of a page that anyone may open and that shows some callers more. A session that has ended makes
/// them nobody.
pub(crate) struct Visitor(pub Option<Caller>);

impl RequiresPermission for Visitor {}

impl FromRequest for Visitor {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let mut trace = Trace::default();
            let caller = identify(state::of(&request)?, &request, &mut trace).await?;
            if caller.is_some() {
                trace.keep(&request);
            }
            Ok(Self(caller))
        })
    }
}

/// A form of such a page, which may contain secrets. It carries the session's CSRF token, or that of the form
/// before a sign-in.
pub(crate) struct VisitorForm {
    /// The sender, if their session is live.
    pub caller: Option<Caller>,
    pub form: Form,
}

impl RequiresPermission for VisitorForm {}

impl FromRequest for VisitorForm {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let read = read_form(&request, payload).await;
            if read.is_err() {
                // No page may repeat the fields of such a form, not even in a form to send again.
                request.extensions_mut().remove::<Form>();
            }
            read
        })
    }
}

async fn read_form(request: &HttpRequest, payload: Payload) -> Result<VisitorForm, Refusal> {
    let state = state::of(request)?;
    let mut trace = Trace::default();
    let caller = identify(state, request, &mut trace).await?;
    let session = caller.as_ref().and_then(|caller| Some((caller, caller.credential.session_id()?)));
    let Some((found, session_id)) = session else {
        let AnonymousForm(form) = read_input(request, payload).await?;
        return Ok(VisitorForm { caller: None, form });
    };
    let checked = csrf::check(state, request, payload, session_id).await;
    let checked = trace.check(Check::Csrf, checked);
    let used = checks::permit(state, found, AnyCaller::RULE, &mut trace).await;
    trace.keep(request);
    let payload = checked?;
    used?;
    Ok(VisitorForm { form: read_input(request, payload).await?, caller })
}

/// Returns the caller whose session cookie the request carries.
///
/// # Errors
/// Those of the server, such as `database_unavailable`.
async fn identify(
    state: &State,
    request: &HttpRequest,
    trace: &mut Trace,
) -> Result<Option<Caller>, Refusal> {
    let Some(sent) = signed_cookie(state, request) else { return Ok(None) };
    match checks::identify_sent(state, &sent, trace).await {
        Ok(caller) => Ok(Some(caller)),
        Err(refusal) if refusal.code().status().is_server_error() => Err(refusal),
        Err(_) => Ok(None),
    }
}
