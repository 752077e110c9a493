//! Checks the caller again, in the transaction that makes a change. The guard's checks run when the head of
//! the request has arrived. Reading the body and queueing for a hash take seconds, and a caller whose
//! authority ends meanwhile must not change anything.

use std::time::Duration;

use uuid::Uuid;

use super::caller::{Caller, Credential};
use super::checks::{self, SessionCheckError};
use super::refusals;
use super::trace::Trace;
use crate::database::{Connection, Queried};
use crate::http::routing::Rule;
use crate::refusal::Refusal;
use crate::sessions::unchanged::{self, SentSecret};
use crate::sessions::{find_browser_state, find_state};
use crate::state::State;
use crate::tokens::access_token::AccessTokenError;
use crate::tokens::owner::Owner;
use crate::tokens::{personal_token, revocation};
use crate::users::user;

/// Makes a change in one transaction if the caller may still do what the guard authorized. `account` is the
/// account whose row the change locks. `work` gets the current data of the caller.
///
/// # Errors
/// The guard's refusal if the caller may no longer make the change, or the refusal of `work`.
pub(crate) async fn transaction<T, F>(
    state: &State,
    caller: &Caller,
    account: Option<Uuid>,
    mut work: F,
) -> Result<T, Refusal>
where
    T: Send + 'static,
    F: FnMut(&mut Connection, &Caller) -> Queried<Result<T, Refusal>> + Send + 'static,
{
    let (seen, grace) = (caller.clone(), state.tokens.lifetimes.refresh_grace);
    let made = state.core.database.transaction(move |connection| {
        match recheck(connection, &seen, account, grace)? {
            Ok(caller) => work(connection, &caller),
            Err(refused) => Ok(Err(refused)),
        }
    });
    made.await?
}

/// Locks the rows and checks the caller. Users' rows are locked in the order of their IDs, because two
/// callers who act on each other would otherwise deadlock. A row that will be written gets the stronger lock
/// at once.
fn recheck(
    connection: &mut Connection,
    seen: &Caller,
    account: Option<Uuid>,
    grace: Duration,
) -> Queried<Result<Caller, Refusal>> {
    if let Some(first) = account.filter(|id| *id <= seen.user_id) {
        user::lock_row(connection, first)?;
    }
    let locks = account != Some(seen.user_id);
    if is_unchanged(connection, seen, locks, grace)? {
        return Ok(Ok(seen.clone()));
    }
    check_again(connection, seen, grace)
}

/// Checks with one statement that nothing has changed, which is nearly always so.
fn is_unchanged(connection: &mut Connection, seen: &Caller, locks: bool, grace: Duration) -> Queried<bool> {
    let user = (seen.user_id, seen.version);
    match &seen.credential {
        Credential::AccessToken { session_id, kid, generation, .. } => {
            let sent = SentSecret::AccessToken { kid, generation: *generation, grace };
            unchanged::is_unchanged(connection, user, *session_id, sent, locks)
        }
        Credential::SessionCookie { session_id, digest, .. } => {
            unchanged::is_unchanged(connection, user, *session_id, SentSecret::Cookie(digest), locks)
        }
        Credential::PersonalToken { id, .. } => {
            crate::tokens::unchanged::is_unchanged(connection, user, *id, locks)
        }
    }
}

/// Repeats the guard's checks on the current rows.
fn check_again(
    connection: &mut Connection,
    seen: &Caller,
    grace: Duration,
) -> Queried<Result<Caller, Refusal>> {
    let trace = &mut Trace::default();
    let judged = match &seen.credential {
        Credential::AccessToken { session_id, kid, version, generation, .. } => {
            let presented = (*version, *generation);
            check_access_token(connection, *session_id, kid, presented, grace)?
        }
        Credential::SessionCookie { digest, .. } => {
            let browser = find_browser_state(connection, digest, grace, false)?;
            let browser = browser.as_ref().ok_or_else(refusals::cookie_unknown);
            browser.and_then(|browser| checks::check_browser(browser, trace).cloned())
        }
        Credential::PersonalToken { digest, .. } => {
            let token = personal_token::find_state(connection, digest)?;
            let token = token.as_ref().ok_or_else(refusals::personal_token_unknown);
            token.and_then(|token| checks::check_personal_token(token, None, trace).cloned())
        }
    };
    Ok(judged.and_then(|user| {
        let caller = with_user(seen, user);
        let rule = Rule { permission: caller.required, fresh: false };
        checks::check_permission(&caller, rule, trace).map(|()| caller)
    }))
}

fn check_access_token(
    connection: &mut Connection,
    session_id: Uuid,
    kid: &str,
    (version, generation): (i64, i32),
    grace: Duration,
) -> Queried<Result<Owner, Refusal>> {
    let (key_revoked_at, current) = find_state(connection, session_id, kid, grace)?;
    if key_revoked_at.is_some() {
        return Ok(Err(refusals::access_token_error(AccessTokenError::SignatureInvalid)));
    }
    let Some(current) = current else { return Ok(Err(refusals::session_unknown())) };
    Ok(match checks::check_session_state(version, generation, &current, &mut Trace::default()) {
        Ok(user) => Ok(user.clone()),
        Err(SessionCheckError::Refused(refusal)) => Err(refusal),
        Err(SessionCheckError::VersionRaised(user_id)) => {
            Err(refusals::version_raised(revocation::find_of_user(connection, user_id, version)?))
        }
    })
}

fn with_user(seen: &Caller, user: Owner) -> Caller {
    let scope = match seen.credential {
        Credential::SessionCookie { .. } => user.permissions.clone(),
        Credential::AccessToken { .. } | Credential::PersonalToken { .. } => seen.scope.clone(),
    };
    Caller {
        username: user.username,
        email: user.email,
        role: user.role,
        permissions: user.permissions,
        version: user.version,
        scope,
        ..seen.clone()
    }
}
