//! Exchanges a refresh token for a new access token, for all interfaces.

use crate::audit::Origin;
use crate::blocking::{Lane, caller};
use crate::guard::check::Check;
use crate::guard::trace::Trace;
use crate::guard::{checks, refusals};
use crate::operations::issue_tokens;
use crate::operations::roles;
use crate::operations::throttle;
use crate::refusal::{Action, Code, Refusal};
use crate::sessions::refresh_token::{self, PlainRefreshToken};
use crate::sessions::{
    EndReason, Grant, PresentedToken, QueuedRefresh, Rotation, rotate, rotate_former, session,
};
use crate::state::State;

/// A request to refresh.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    /// The refresh token, as it was sent.
    pub token: String,
    /// The scope requested for the access token. It must be within the session's.
    pub scope: Option<Vec<String>>,
    /// True to rotate the refresh token. If false, the client keeps it.
    pub rotate: bool,
}

/// The grant and the refresh token that a refresh returns.
pub(crate) struct Refreshed {
    /// The data for the new access token.
    pub grant: Grant,
    /// The session's current refresh token. Clients that keep theirs must not get it.
    pub successor: PlainRefreshToken,
}

impl Refresh {
    /// Rotates or checks a refresh token. A token that does not exist counts against its address. A valid
    /// token is accepted from there all the same.
    ///
    /// # Errors
    /// The refusal of the token, its session, its user or the scope; `too_many_attempts`.
    pub(crate) async fn run(
        &self,
        state: &State,
        origin: Origin,
        trace: &mut Trace,
    ) -> Result<Refreshed, Refusal> {
        let exchanged = exchange_token(state, self, origin.clone(), trace).await;
        if let Err(refusal) = &exchanged
            && is_guess(refusal.code())
            && let Err(throttled) = throttle::count_unverified(state, &origin).await
        {
            trace.forget();
            return Err(throttled);
        }
        exchanged
    }
}

async fn exchange_token(
    state: &State,
    wanted: &Refresh,
    origin: Origin,
    trace: &mut Trace,
) -> Result<Refreshed, Refusal> {
    let token = checks::read_refresh_token(state, &wanted.token, trace)?;
    let presented = PresentedToken {
        session_id: token.session_id,
        secret_digest: refresh_token::digest(&token.secret),
        generation: token.generation,
        scope: wanted.scope.clone(),
        rotate: wanted.rotate,
    };
    let decided = decide(state, QueuedRefresh { presented, origin }).await;
    let decided = apply_lost_end(state, decided.inspect_err(|_| trace.stop(Check::Revocation))?);
    if let Some(stop) = check_of(&decided) {
        trace.stop(stop);
    }
    match decided {
        Rotation::Rotated(grant) | Rotation::Repeated(grant) => {
            trace.user_id = Some(grant.user_id);
            if !wanted.rotate {
                // A rotation is recorded in the row itself.
                state.recorder.last_use.record_used(grant.session_id);
            }
            let successor = issue_tokens::refresh_token(state, &grant, token.secret);
            Ok(Refreshed { grant: *grant, successor })
        }
        Rotation::Reused => Err(refusals::refresh_token_reused()),
        Rotation::Unknown => Err(refusals::refresh_token_unknown()),
        Rotation::Ended(ended) => Err(refusals::session_ended(&ended)),
        Rotation::Expired { at } => Err(refusals::session_expired(at)),
        Rotation::AccountDeleted => Err(refusals::account_deleted()),
        Rotation::AccountDisabled => Err(refusals::account_disabled()),
        Rotation::ScopeRefused { granted } => Err(refuse_scope(state, wanted, &granted).await),
    }
}

/// Decides in one statement with other refreshes if possible, and otherwise alone.
async fn decide(state: &State, queued: QueuedRefresh) -> Result<Rotation, Refusal> {
    // The token does not name its user, but a cached session does.
    let session_id = queued.presented.session_id;
    let owner = state.cache.session(session_id).and_then(|found| found.user.as_ref().map(|user| user.id));
    let claim = caller::current().claim_of_account(Lane::Ordinary, &owner.unwrap_or(session_id));
    if let Some(decided) = state.tokens.rotations.run(claim, queued.clone()).await? {
        return Ok(decided);
    }
    let limits = state.tokens.lifetimes.clone();
    let alone = move |connection: &mut _| {
        let QueuedRefresh { presented, origin } = &queued;
        match rotate(connection, presented, &limits, origin)? {
            // The session may have had this token before a step-up.
            Rotation::Unknown => rotate_former(connection, presented, &limits, origin),
            decided => Ok(decided),
        }
    };
    state.core.database.run(alone).await.map_err(Refusal::from)
}

/// Refuses a session that this node knows to have ended, in case the database has lost that.
fn apply_lost_end(state: &State, decided: Rotation) -> Rotation {
    match &decided {
        Rotation::Rotated(grant) | Rotation::Repeated(grant) => {
            let ended = state.cache.ended(grant.session_id);
            ended.map_or(decided, |ended| Rotation::Ended(ended.map(EndReason::from)))
        }
        _ => decided,
    }
}

async fn refuse_scope(state: &State, wanted: &Refresh, granted: &[String]) -> Refusal {
    let scope = wanted.scope.clone().unwrap_or_default();
    if let Err(refusal) = roles::refuse_unknown_scope(state, &session::missing(Some(&scope), granted)).await {
        return refusal;
    }
    let advice = "Request a narrower scope, or sign in again with a wider one. The refresh token was not \
                  used.";
    refusals::scope_refused(&scope, granted, advice).action(Action::Login)
}

/// Returns whether someone may have made up the token.
fn is_guess(code: Code) -> bool {
    matches!(code, Code::TokenMalformed | Code::TokenSignatureInvalid | Code::RefreshTokenUnknown)
}

/// Returns the check that refused the token, or `None` if all checks passed.
fn check_of(decided: &Rotation) -> Option<Check> {
    match decided {
        Rotation::Rotated(_) | Rotation::Repeated(_) => None,
        Rotation::Reused => Some(Check::Revocation),
        Rotation::Unknown | Rotation::Ended(_) | Rotation::Expired { .. } => Some(Check::Session),
        Rotation::AccountDeleted | Rotation::AccountDisabled => Some(Check::User),
        Rotation::ScopeRefused { .. } => Some(Check::Scope),
    }
}
