//! Refreshing: a refresh token for a new access token, the same for every door.

use crate::audit::Origin;
use crate::blocking::{Lane, caller};
use crate::guard::trace::{Check, Trace};
use crate::guard::{checks, refusals};
use crate::operations::issue_tokens;
use crate::operations::roles;
use crate::operations::throttle;
use crate::refusal::{Action, Code, Problem};
use crate::sessions::refresh_token::{self, PlainRefreshToken};
use crate::sessions::{Grant, Presented, Rotation, Turn, rotate, rotate_former, session};
use crate::state::State;

/// What is refreshed.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// The refresh token, as it was sent.
    pub token: String,
    /// A narrower scope for the new access token alone.
    pub scope: Option<Vec<String>>,
    /// Whether it is spent by this; otherwise its holder keeps it.
    pub spends: bool,
}

/// What a refresh came to.
pub struct Refreshed {
    /// All that goes into the new access token.
    pub grant: Grant,
    /// The session's live refresh token; not for who keeps the one he has.
    pub successor: PlainRefreshToken,
}

impl Refresh {
    /// Trades, or only looks at, a refresh token. One that stands nowhere counts against its address; a good one is
    /// taken from there all the same.
    ///
    /// # Errors
    /// What is wrong with the token, its session, its user or the scope, `too_many_attempts`; a fault of ours as a 5xx.
    pub async fn run(&self, state: &State, origin: Origin, trace: &mut Trace) -> Result<Refreshed, Problem> {
        let traded = trade(state, self, origin.clone(), trace).await;
        if let Err(problem) = &traded
            && is_guess(problem.code())
            && let Err(held) = throttle::count_unproven(state, &origin).await
        {
            trace.forget();
            return Err(held);
        }
        traded
    }
}

async fn trade(
    state: &State,
    wanted: &Refresh,
    origin: Origin,
    trace: &mut Trace,
) -> Result<Refreshed, Problem> {
    let token = checks::read_refresh_token(state, &wanted.token, trace)?;
    let presented = Presented {
        session_id: token.session_id,
        secret_digest: refresh_token::digest(&token.secret),
        generation: token.generation,
        scope: wanted.scope.clone(),
        spends: wanted.spends,
    };
    let decided = decide(state, Turn { presented, origin }).await;
    let decided = unless_lost(state, decided.inspect_err(|_| trace.stop(Check::Revocation))?);
    if let Some(stop) = check_of(&decided) {
        trace.stop(stop);
    }
    match decided {
        Rotation::Rotated(grant) | Rotation::Repeated(grant) => {
            trace.user_id = Some(grant.user_id);
            if !wanted.spends {
                // A rotation stands in the row by itself.
                state.recorder.last_use.note_used(grant.session_id);
            }
            let successor = issue_tokens::refresh_token(state, &grant, token.secret);
            Ok(Refreshed { grant: *grant, successor })
        }
        Rotation::Reused => Err(refusals::refresh_token_reused()),
        Rotation::Unknown => Err(refusals::refresh_token_unknown()),
        Rotation::Ended { at, reason } => Err(refusals::session_ended(at, &reason)),
        Rotation::Expired { at } => Err(refusals::session_expired(at)),
        Rotation::AccountDeleted => Err(refusals::account_deleted()),
        Rotation::AccountDisabled => Err(refusals::account_disabled()),
        Rotation::ScopeRefused { granted } => Err(refuse_scope(state, wanted, &granted).await),
    }
}

/// Together with those that come at the same time, if it can be.
async fn decide(state: &State, turn: Turn) -> Result<Rotation, Problem> {
    // The token does not say whose it is; a session that was looked up does.
    let session_id = turn.presented.session_id;
    let owner = state.cache.session(session_id).and_then(|found| found.user.as_ref().map(|user| user.id));
    let claim = caller::current().claim_of_account(Lane::Ordinary, &owner.unwrap_or(session_id));
    if let Some(decided) = state.tokens.rotations.run(claim, turn.clone()).await? {
        return Ok(decided);
    }
    let limits = state.tokens.lifetimes.clone();
    let alone = move |connection: &mut _| {
        let Turn { presented, origin } = &turn;
        match rotate(connection, presented, &limits, origin)? {
            // The session may have had it before a step-up.
            Rotation::Unknown => rotate_former(connection, presented, &limits, origin),
            decided => Ok(decided),
        }
    };
    state.core.database.run(alone).await.map_err(Problem::from)
}

/// What would be let in is not where this node knows better: the database may have lost the session's end.
fn unless_lost(state: &State, decided: Rotation) -> Rotation {
    match &decided {
        Rotation::Rotated(grant) | Rotation::Repeated(grant) => {
            let ended = state.cache.ended(grant.session_id);
            ended.map_or(decided, |(at, reason)| Rotation::Ended { at, reason })
        }
        _ => decided,
    }
}

async fn refuse_scope(state: &State, wanted: &Refresh, granted: &[String]) -> Problem {
    let scope = wanted.scope.clone().unwrap_or_default();
    if let Err(problem) = roles::refuse_unknown_scope(state, &session::missing(Some(&scope), granted)).await {
        return problem;
    }
    let advice = "Ask for less, or sign in again with more; the refresh token was not spent.";
    refusals::scope_refused(&scope, granted, advice).action(Action::Login)
}

/// Whether it may have been made up.
fn is_guess(code: Code) -> bool {
    matches!(code, Code::TokenMalformed | Code::TokenSignatureInvalid | Code::RefreshTokenUnknown)
}

/// Which check decided; `None`: all of them let it in.
fn check_of(decided: &Rotation) -> Option<Check> {
    match decided {
        Rotation::Rotated(_) | Rotation::Repeated(_) => None,
        Rotation::Reused => Some(Check::Revocation),
        Rotation::Unknown | Rotation::Ended { .. } | Rotation::Expired { .. } => Some(Check::Session),
        Rotation::AccountDeleted | Rotation::AccountDisabled => Some(Check::User),
        Rotation::ScopeRefused { .. } => Some(Check::Scope),
    }
}
