//! The guard, as it stands in a handler's signature: the only way to a caller.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};

use super::caller::{Caller, Credential};
use super::checks;
use super::credential;
use super::csrf;
use super::input::{Form, Input};
use super::services::{self, Services};
use super::trace::{Check, Trace};
use crate::audit::Origin;
use crate::problem::{Problem, RequestId};
use crate::routing::{Asks, Rule};

/// What an endpoint asks of its caller, as a type.
pub trait Requirement: 'static {
    /// The permission that role and credential must both have; `None`: any caller.
    const PERMISSION: Option<&'static str>;
    /// Whether the sign-in must be recent (RFC 9470). Personal tokens are exempt.
    const FRESH: bool = false;
    /// Both of them.
    const RULE: Rule = Rule { permission: Self::PERMISSION, fresh: Self::FRESH };
}

/// Any caller, whatever he may.
pub struct AnyCaller;

impl Requirement for AnyCaller {
    const PERMISSION: Option<&'static str> = None;
}

/// A caller who may do `R`, and what was read of the request after he was let in. One extractor does both, since two
/// would race and a broken body could answer before the guard.
pub struct Authorized<R, I = ()> {
    /// Who sent the request.
    pub caller: Caller,
    /// What was read.
    pub input: I,
    /// The request as the audit log names it.
    pub origin: Origin,
    requirement: PhantomData<R>,
}

impl<R: Requirement, I: Input> FromRequest for Authorized<R, I> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let services = services::of(&request)?;
            let mut trace = Trace::default();
            let let_in = let_in(services, &request, payload, R::RULE, &mut trace).await;
            trace.keep(&request);
            let (caller, payload) = let_in?;
            let input = I::read(&request, payload).await?;
            let mut origin = origin(&request).of(caller.user_id, &caller.username);
            origin.session_id = caller.credential.session_id();
            Ok(Self { caller, input, origin, requirement: PhantomData })
        })
    }
}

/// The guard itself; gives the body back for what is read of it next.
async fn let_in(
    services: &Services,
    request: &HttpRequest,
    payload: Payload,
    rule: Rule,
    trace: &mut Trace,
) -> Result<(Caller, Payload), Problem> {
    let caller = checks::identify(services, request, trace).await?;
    let payload = match caller.credential {
        Credential::SessionCookie { session_id, .. } if !csrf::is_safe(request.method()) => {
            let checked = csrf::check(services, request, payload, session_id).await;
            trace.check(Check::Csrf, checked)?
        }
        _ => payload,
    };
    checks::permit(services, &caller, rule, trace).await.map_err(|problem| {
        let sent = request.extensions().get::<Form>().cloned();
        problem.with_form(sent.map(Form::into_fields).unwrap_or_default())
    })?;
    Ok((caller, payload))
}

/// A caller if there is one, and what was read of the request: for what anybody may ask, and some learn more from. A
/// credential that is sent must be good all the same.
pub struct Known<I> {
    /// Who sent the request; `None`: nobody who says so.
    pub caller: Option<Caller>,
    /// What was read.
    pub input: I,
}

impl<I: Input> FromRequest for Known<I> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let services = services::of(&request)?;
            if !credential::is_sent(&request, &services.browser) {
                return Ok(Self { caller: None, input: I::read(&request, payload).await? });
            }
            let mut trace = Trace::default();
            let let_in = let_in(services, &request, payload, AnyCaller::RULE, &mut trace).await;
            trace.keep(&request);
            let (caller, payload) = let_in?;
            Ok(Self { caller: Some(caller), input: I::read(&request, payload).await? })
        })
    }
}

impl<I> Asks for Known<I> {}

impl<R: Requirement, I> Asks for Authorized<R, I> {
    const RULE: Option<Rule> = Some(R::RULE);
}

/// Where a request comes from, before anything is known of its caller.
pub(super) fn origin(request: &HttpRequest) -> Origin {
    let services = request.app_data::<web::Data<Services>>();
    let client = services.and_then(|services| services.trusted_proxies.client_address(request));
    let (address, address_doubt) = client.map(|client| (client.address.to_string(), client.doubt)).unzip();
    Origin {
        address,
        address_doubt: address_doubt.flatten(),
        request_id: request.extensions().get::<RequestId>().map(|id| id.0),
        ..Origin::default()
    }
}
