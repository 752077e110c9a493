//! Extracts the caller of a request in a handler's signature, after all checks of the guard. Handlers have no
//! other way to get a caller.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::caller::{Caller, Credential};
use super::check::Check;
use super::origin::origin;
use super::trace::Trace;
use super::{checks, credential, csrf};
use crate::audit::Origin;
use crate::http::conditions::Conditions;
use crate::http::request::{Input, read_input};
use crate::http::routing::{RequiresPermission, Rule};
use crate::refusal::Refusal;
use crate::state::{self, State};

/// An endpoint's requirements for its caller, as a type.
pub trait Requirement: 'static {
    /// The permission that both the role and the credential must have. `None` accepts any caller.
    const PERMISSION: Option<&'static str>;
    /// True if the sign-in must be recent (RFC 9470). Personal tokens are exempt.
    const FRESH: bool = false;
    /// Both requirements as one value.
    const RULE: Rule = Rule { permission: Self::PERMISSION, fresh: Self::FRESH };
}

/// Accepts any caller, whatever their permissions.
pub struct AnyCaller;

impl Requirement for AnyCaller {
    const PERMISSION: Option<&'static str> = None;
}

/// A caller who meets the requirement `R`, and the input `I`, which is read from the request after
/// authorization. One extractor does both. Two extractors would race, and an invalid body could be reported
/// before the guard's refusal.
pub struct Authorized<R, I = ()> {
    /// The sender of the request.
    pub caller: Caller,
    pub input: I,
    /// The request's origin, for the audit log.
    pub origin: Origin,
    requirement: PhantomData<R>,
}

impl<R: Requirement, I: Input> FromRequest for Authorized<R, I> {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let state = state::of(&request)?;
            let mut trace = Trace::default();
            let authorized = authorize(state, &request, payload, R::RULE, &mut trace).await;
            trace.keep(&request);
            let (caller, payload) = authorized?;
            let input = read_input::<I>(&request, payload).await?;
            if !I::READS_CONDITIONS && !csrf::is_safe(request.method()) {
                Conditions::of(request.headers()).check_untagged()?;
            }
            let mut origin = origin(&request).of(caller.user_id, &caller.username);
            origin.session_id = caller.credential.session_id();
            Ok(Self { caller, input, origin, requirement: PhantomData })
        })
    }
}

/// Runs the guard's checks. Returns the body too, because the input is still to be read from it.
async fn authorize(
    state: &State,
    request: &HttpRequest,
    payload: Payload,
    rule: Rule,
    trace: &mut Trace,
) -> Result<(Caller, Payload), Refusal> {
    let mut caller = checks::identify(state, request, trace).await?;
    caller.required = rule.permission;
    let payload = match caller.credential {
        Credential::SessionCookie { session_id, .. } if !csrf::is_safe(request.method()) => {
            let checked = csrf::check(state, request, payload, session_id).await;
            trace.check(Check::Csrf, checked)?
        }
        _ => payload,
    };
    checks::permit(state, &caller, rule, trace).await?;
    Ok((caller, payload))
}

/// The caller, if the request has a credential, and the input. It is for endpoints that anyone may use and
/// that show some callers more. A credential must be valid if one is sent.
pub(crate) struct MaybeAuthorized<I> {
    /// The sender of the request. `None` if no credential was sent.
    pub caller: Option<Caller>,
    pub input: I,
}

impl<I: Input> FromRequest for MaybeAuthorized<I> {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let state = state::of(&request)?;
            if !credential::is_sent(&request, &state.web.browser) {
                return Ok(Self { caller: None, input: read_input(&request, payload).await? });
            }
            let mut trace = Trace::default();
            let authorized = authorize(state, &request, payload, AnyCaller::RULE, &mut trace).await;
            trace.keep(&request);
            let (caller, payload) = authorized?;
            Ok(Self { caller: Some(caller), input: read_input(&request, payload).await? })
        })
    }
}

impl<I> RequiresPermission for MaybeAuthorized<I> {}

impl<R: Requirement, I> RequiresPermission for Authorized<R, I> {
    const RULE: Option<Rule> = Some(R::RULE);
}
