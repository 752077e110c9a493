//! Explains check by check why a credential is accepted or refused. It runs the guard's own checks.
//! Explaining rotates no token and records no use.
//!
//! Callers see the history of their own credentials only, unless they have `audit:read`. For other tokens
//! they see only what the refusal already said.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::history::{self, HistoryEvent};
use super::pasted::{Pasted, PastedCredential, Target};
use crate::audit::refusals::{self, KeptRefusal};
use crate::guard::caller::{Caller, Credential};
use crate::guard::check::{Check, CredentialKind};
use crate::guard::trace::{CheckLine, Outcome, Trace};
use crate::guard::{checks, credential, refusals as reasons};
use crate::http::routing::{RouteLookup, RouteTable};
use crate::refusal::{Code, Refusal};
use crate::state::State;
use crate::tokens::owner::UserStatus;
use crate::users::{role, user};

/// The person who requests an explanation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asker<'a> {
    /// Someone without a credential of their own.
    Anonymous,
    /// An authorized caller.
    Caller(&'a Caller),
    /// The server's operator, at its terminal.
    Operator,
}

impl Asker<'_> {
    /// Returns whether they may see the history of a credential of this user. A caller with a personal token
    /// cannot see it.
    fn may_see(self, user_id: Option<Uuid>) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Operator => true,
            Self::Caller(caller) => {
                let is_present = !matches!(caller.credential, Credential::PersonalToken { .. });
                let is_own = user_id == Some(caller.user_id) && caller.may(role::ACCOUNT_READ);
                is_present && (is_own || caller.may(role::AUDIT_READ))
            }
        }
    }
}

/// The reasons why nothing may be stored under a request ID.
pub(crate) const NOT_KEPT: &str = "No refusal is kept under this request id. The request was accepted, its record \
                            was deleted, too many others came at once, or another node answered it within \
                            the last second.";

/// The result of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The credential is, or was, accepted.
    #[serde(rename = "let_in")]
    Accepted,
    /// The credential is, or was, refused.
    Refused,
    /// The credential is a refresh token of an active session. Only presenting the token shows whether the
    /// token itself is accepted.
    SessionLives,
}

/// An explanation of a credential or a request.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Explanation {
    /// The result of the checks.
    pub verdict: Verdict,
    /// The refusal's `code`, `title`, `detail`, `action`, `terminal` and the code's own members.
    #[schema(value_type = Option<Object>)]
    pub problem: Option<Value>,
    /// The credential that was sent.
    pub credential: Option<ExplainedCredential>,
    /// The request, if the explanation is about one.
    pub request: Option<ExplainedRequest>,
    /// The checks, in order.
    pub checks: Vec<CheckLine>,
    /// The history of the credential. Null if the caller is not allowed to see it.
    pub history: Option<Vec<HistoryEvent>>,
    /// Advice on what to do, and for whom.
    pub next: Vec<Step>,
}

/// The credential that is explained.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ExplainedCredential {
    /// The kind of the credential.
    #[schema(example = "access_token")]
    pub kind: String,
    /// The public ID of the credential, such as the `jti`.
    pub id: Option<Uuid>,
    /// The ID of its session.
    pub session_id: Option<Uuid>,
    /// The ID of its user. Null if the caller is not allowed to see it.
    pub user_id: Option<Uuid>,
    /// The name of its user.
    #[schema(example = "alice")]
    pub username: Option<String>,
}

/// The request that is explained.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct ExplainedRequest {
    /// The request's ID. Null if the request was not sent.
    pub request_id: Option<Uuid>,
    /// The time of the request.
    pub occurred_at: Option<DateTime<Utc>>,
    /// The request's method.
    #[schema(example = "GET")]
    pub method: String,
    /// The request's path.
    #[schema(example = "/api/v1/notes")]
    pub path: String,
    /// The status of the response.
    pub status: Option<i16>,
    /// The permission that the request requires.
    pub permission: Option<String>,
    /// True if the request requires a recent sign-in.
    pub fresh: Option<bool>,
    /// The client address. Only headers of trusted proxies are used to determine it.
    pub address: Option<String>,
    /// The address of the connection's peer.
    pub peer: Option<String>,
    /// The value of `X-Forwarded-For`, trusted or not, with that of `Forwarded` if there is one.
    pub forwarded_for: Option<String>,
}

/// Advice on what to do.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Step {
    /// The reader of the advice: `client` is the client's developer, `user` its user, and `operator` runs the
    /// server.
    pub who: &'static str,
    /// The advice.
    pub text: String,
}

/// The result of running the checks.
struct Judgement {
    trace: Trace,
    refused: Option<Refusal>,
    verdict: Verdict,
    request: Option<ExplainedRequest>,
}

/// Explains a pasted credential. With a target, also explains whether that request would be authorized,
/// without making it.
pub(crate) async fn explain(
    state: &State,
    pasted: Pasted,
    target: Option<Target>,
    routes: &RouteTable,
    asker: Asker<'_>,
) -> Result<Explanation, Refusal> {
    let target = target.or(pasted.target);
    let mut trace = Trace::explaining();
    let judged = match pasted.credential {
        Err(refusal) => {
            trace.stop(credential::check_of(refusal.code()));
            Judgement { trace, verdict: Verdict::Refused, refused: Some(refusal), request: None }
        }
        Ok(PastedCredential::RefreshToken(text)) => judge_refresh_token(state, &text, trace, asker).await?,
        Ok(PastedCredential::Sent(sent)) => {
            let caller = checks::identify_sent(state, &sent, &mut trace).await;
            let request = target.as_ref().map(|target| required_by(routes, target));
            let accepted = match (caller, &target) {
                (Ok(caller), Some(target)) => {
                    would_authorize(state, &caller, routes, target, &mut trace).await
                }
                (caller, _) => caller.map(|_| ()),
            };
            let refused = accepted.err();
            let verdict = if refused.is_some() { Verdict::Refused } else { Verdict::Accepted };
            Judgement { trace, refused, verdict, request }
        }
    };
    if let Some(ours) = judged.refused.as_ref().filter(|refusal| refusal.code().status().is_server_error()) {
        return Err(ours.clone());
    }
    explanation(state, judged, asker).await
}

async fn would_authorize(
    state: &State,
    caller: &Caller,
    routes: &RouteTable,
    target: &Target,
    trace: &mut Trace,
) -> Result<(), Refusal> {
    match routes.find(&target.method, &target.path) {
        RouteLookup::Guarded(rule) => checks::permit(state, caller, rule, trace).await,
        RouteLookup::Open => Ok(()),
        RouteLookup::NotFound => {
            Err(Refusal::new(Code::NotFound, "No route matches this path. See /openapi.json for all routes."))
        }
        RouteLookup::OtherMethods(methods) => {
            let names: Vec<&str> = methods.iter().map(actix_web::http::Method::as_str).collect();
            let detail = format!("This path does not support the method. Use one of: {}.", names.join(", "));
            Err(Refusal::new(Code::MethodNotAllowed, detail))
        }
    }
}

/// Checks a refresh token's format and signature, and whether its session is live. It never reveals whether
/// the token was already used or would be forgiven.
async fn judge_refresh_token(
    state: &State,
    text: &str,
    mut trace: Trace,
    asker: Asker<'_>,
) -> Result<Judgement, Refusal> {
    let refused = |trace, refusal| Judgement {
        trace,
        verdict: Verdict::Refused,
        refused: Some(refusal),
        request: None,
    };
    let token = match checks::read_refresh_token(state, text, &mut trace) {
        Ok(token) => token,
        Err(refusal) => return Ok(refused(trace, refusal)),
    };
    let life = match check_session_of(state, &token, &mut trace).await {
        Ok(life) => life,
        Err(refusal) => return Ok(refused(trace, refusal)),
    };
    if asker.may_see(life.user_id) && !life.user_status.as_ref().is_some_and(UserStatus::is_active) {
        trace.stop(Check::User);
        return Ok(refused(trace, reasons::account_disabled()));
    }
    Ok(Judgement { trace, verdict: Verdict::SessionLives, refused: None, request: None })
}

async fn explanation(state: &State, judged: Judgement, asker: Asker<'_>) -> Result<Explanation, Refusal> {
    let Judgement { trace, refused, verdict, request } = judged;
    let sees = trace.is_verified() && asker.may_see(trace.user_id);
    let lines = trace.lines(refused.as_ref());
    let detail = refused.as_ref().map(Refusal::detail);
    let credential = trace.kind.map(|kind| ExplainedCredential {
        kind: kind.as_str().to_owned(),
        id: trace.credential_id,
        session_id: trace.session_id,
        user_id: trace.user_id.filter(|_| sees),
        username: None,
    });
    let life = if sees { Some(history_of(state, credential.as_ref(), None).await?) } else { None };
    Ok(Explanation {
        verdict,
        problem: refused.as_ref().map(Refusal::to_record),
        credential: with_username(state, credential).await?,
        request,
        checks: if sees { lines } else { visible_to_owner(lines, trace.is_verified(), detail) },
        history: life,
        next: next_steps(refused.map(|refusal| refusal.code()), verdict),
    })
}

/// Explains a request that was refused, or whose trace was requested. Returns `None` if nothing is stored
/// under this ID.
pub(crate) async fn explain_request(
    state: &State,
    request_id: Uuid,
    asker: Asker<'_>,
) -> Result<Option<Explanation>, Refusal> {
    if state.recorder.kept_refusals.is_waiting(request_id) {
        state.recorder.kept_refusals.flush(&state.core.database).await?;
    }
    let found = state.core.database.run(move |connection| refusals::find(connection, request_id)).await?;
    match found {
        Some(kept) => explanation_of_kept(state, kept, asker).await.map(Some),
        None => Ok(None),
    }
}

async fn explanation_of_kept(
    state: &State,
    kept: KeptRefusal,
    asker: Asker<'_>,
) -> Result<Explanation, Refusal> {
    let sees = asker.may_see(kept.user_id);
    let code = kept.code.as_deref().and_then(Code::parse);
    let verdict = if code.is_some() { Verdict::Refused } else { Verdict::Accepted };
    let lines: Vec<CheckLine> = serde_json::from_value(kept.checks).unwrap_or_default();
    let credential = kept.credential_kind.map(|kind| ExplainedCredential {
        kind,
        id: kept.credential_id,
        session_id: kept.session_id,
        user_id: kept.user_id.filter(|_| sees),
        username: None,
    });
    let life =
        if sees { Some(history_of(state, credential.as_ref(), Some(kept.request_id)).await?) } else { None };
    let only_for = |text: Option<String>| text.filter(|_| sees);
    let request = ExplainedRequest {
        request_id: Some(kept.request_id),
        occurred_at: Some(kept.occurred_at),
        method: kept.method,
        path: if sees { kept.path } else { kept.route },
        status: Some(kept.status),
        address: only_for(kept.address),
        peer: only_for(kept.peer),
        forwarded_for: only_for(kept.forwarded_for),
        ..ExplainedRequest::default()
    };
    Ok(Explanation {
        verdict,
        checks: if sees { lines } else { visible_to_owner(lines, true, kept.problem["detail"].as_str()) },
        problem: Some(kept.problem).filter(|refusal| !refusal.is_null()),
        credential: with_username(state, credential).await?,
        request: Some(request),
        history: life,
        next: next_steps(code, verdict),
    })
}

/// Returns the history of a credential, and the other events of the request.
async fn history_of(
    state: &State,
    credential: Option<&ExplainedCredential>,
    request_id: Option<Uuid>,
) -> Result<Vec<HistoryEvent>, Refusal> {
    let of_personal_token = credential
        .filter(|credential| credential.kind == CredentialKind::PersonalToken.as_str())
        .and_then(|credential| credential.id);
    let mut events = match (of_personal_token, credential.and_then(|credential| credential.session_id)) {
        (Some(id), _) => history::events_of_personal_token(state, id).await?,
        (None, Some(id)) => match history::session_history(state, id, None).await? {
            Some(life) => history::events_of_session(state, &life).await?,
            None => Vec::new(),
        },
        (None, None) => Vec::new(),
    };
    if let Some(request_id) = request_id {
        let is_known = |event: &HistoryEvent| event.request_id == Some(request_id);
        if !events.iter().any(is_known) {
            events = history::in_order(events, history::events_of_request(state, request_id).await?);
        }
    }
    Ok(events)
}

async fn with_username(
    state: &State,
    credential: Option<ExplainedCredential>,
) -> Result<Option<ExplainedCredential>, Refusal> {
    let Some(mut credential) = credential else { return Ok(None) };
    if let Some(id) = credential.user_id {
        let found = state.core.database.run(move |connection| user::find(connection, id)).await;
        credential.username = found?.map(|user| user.username);
    }
    Ok(Some(credential))
}

/// Describes a request with the requirements of its route.
fn required_by(routes: &RouteTable, target: &Target) -> ExplainedRequest {
    let rule = match routes.find(&target.method, &target.path) {
        RouteLookup::Guarded(rule) => Some(rule),
        RouteLookup::Open | RouteLookup::NotFound | RouteLookup::OtherMethods(_) => None,
    };
    ExplainedRequest {
        method: target.method.to_string(),
        path: target.path.clone(),
        permission: rule.and_then(|rule| rule.permission.map(str::to_owned)),
        fresh: rule.map(|rule| rule.fresh),
        ..ExplainedRequest::default()
    }
}

/// Reduces the checks to what anyone with the token may see, which is what the token says itself and what the
/// refusal said.
fn visible_to_owner(mut lines: Vec<CheckLine>, is_verified: bool, refusal: Option<&str>) -> Vec<CheckLine> {
    for line in lines.iter_mut().filter(|line| !is_verified || line.check > Check::Type) {
        line.expected = None;
        line.found = refusal.filter(|_| line.outcome == Outcome::Failed).map(str::to_owned);
    }
    lines
}

fn next_steps(code: Option<Code>, verdict: Verdict) -> Vec<Step> {
    match (code, verdict) {
        (Some(code), _) => {
            let page = code.page();
            vec![
                Step { who: "client", text: page.for_client.to_owned() },
                Step { who: "user", text: page.for_user.to_owned() },
                Step { who: "operator", text: page.for_operator.to_owned() },
            ]
        }
        (None, Verdict::SessionLives) => {
            let text = "Present the token at POST /api/v1/auth/refresh. Only that shows whether it was used.";
            vec![Step { who: "client", text: text.to_owned() }]
        }
        (None, _) => Vec::new(),
    }
}

/// Checks whether a refresh token's session is live. The token is not rotated. The result does not reveal
/// whether the token was already used or would be forgiven.
///
/// # Errors
/// `refresh_token_unknown`, `session_ended`, `session_expired`.
pub(crate) async fn check_session_of(
    state: &State,
    token: &crate::sessions::refresh_token::RefreshToken,
    trace: &mut Trace,
) -> Result<crate::sessions::history::SessionHistory, Refusal> {
    let found = history::session_history(
        state,
        token.session_id,
        Some(crate::sessions::refresh_token::digest(&token.secret)),
    )
    .await;
    let found = found.and_then(|found| found.ok_or_else(reasons::refresh_token_unknown));
    let life = found.inspect_err(|_| trace.stop(Check::Session))?;
    trace.user_id = life.user_id;
    let lives = match &life.ended {
        Some(ended) => Err(reasons::session_ended(ended)),
        None if life.is_expired => Err(reasons::session_expired(life.expires_at)),
        None => Ok(()),
    };
    trace.check(Check::Session, lives)?;
    Ok(life)
}
