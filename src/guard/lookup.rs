//! Looks up the current state of a session or token, in the cache while the feed is up, and otherwise in the
//! database.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::cache::node_cache::{CachedToken, Raised};
use crate::digest::Digest;
use crate::refusal::Refusal;
use crate::sessions::{BrowserSessionState, CookieDigest, SessionState, find_browser_state, find_state};
use crate::state::State;
use crate::tokens::access_token::{self, AccessTokenError, Signed};
use crate::tokens::ended::Ended;
use crate::tokens::owner::Owner;
use crate::tokens::personal_token::{self, PersonalTokenState};
use crate::tokens::revocation;

/// Expired credentials stay expired, but they are looked up again after this time.
const OVER_FOR: Duration = Duration::from_secs(60);

/// The result of looking up an API client's session.
pub enum SessionLookup {
    /// The session's state.
    Found(Arc<SessionState>),
    /// The session does not exist.
    NotFound,
    /// The key that signed the access token is revoked.
    KeyRevoked,
}

/// Verifies an access token's signature, and caches the result.
///
/// # Errors
/// The error of the format, the key or the signature.
pub fn signed_access_token(state: &State, token: &str) -> Result<Arc<Signed>, AccessTokenError> {
    if token.len() > access_token::MAX_LEN {
        return Err(AccessTokenError::Malformed);
    }
    let (ring, digest) = (state.tokens.keys.current(), Digest::of(token));
    match state.cache.access_token(&digest) {
        Some(CachedToken::Genuine(signed)) => return signed.check_key(&ring).map(|()| signed),
        Some(CachedToken::Forged) => return Err(AccessTokenError::SignatureInvalid),
        None => {}
    }
    let verified = access_token::verify_signature(&ring, &state.tokens.issuer, token).map(|mut signed| {
        signed.scope = state.cache.share(&signed.scope);
        Arc::new(signed)
    });
    match &verified {
        Ok(signed) => {
            state.cache.insert_access_token(digest, CachedToken::Genuine(Arc::clone(signed)));
        }
        Err(AccessTokenError::SignatureInvalid) => {
            state.cache.insert_access_token(digest, CachedToken::Forged);
        }
        Err(_) => {}
    }
    verified
}

/// Returns the state of an access token's session, or that the key that signed the token is revoked.
pub async fn session_state(state: &State, id: Uuid, kid: &str) -> Result<SessionLookup, Refusal> {
    if let Some(current) = state.cache.session(id) {
        return Ok(SessionLookup::Found(current));
    }
    let (ticket, kid) = (state.cache.ticket(), kid.to_owned());
    let grace = state.tokens.lifetimes.refresh_grace;
    let found = state.core.database.run(move |connection| find_state(connection, id, &kid, grace)).await;
    let (key_revoked_at, current) = found?;
    if key_revoked_at.is_some() {
        return Ok(SessionLookup::KeyRevoked);
    }
    let Some(mut current) = current else { return Ok(SessionLookup::NotFound) };
    share_names(state, current.user.as_mut());
    apply_lost_end(state, id, &mut current.ended, current.user.as_ref());
    let current = Arc::new(current);
    if let Some(ticket) = ticket {
        state.cache.insert_session(ticket, id, &current);
    }
    Ok(SessionLookup::Found(current))
}

/// Returns the state of the session that this cookie belongs, or belonged, to. Returns `None` if there is
/// none. The lookup records the cookie as presented.
pub async fn browser_session_state(
    state: &State,
    cookie: CookieDigest,
) -> Result<Option<Arc<BrowserSessionState>>, Refusal> {
    if let Some(current) = state.cache.browser(&cookie) {
        return Ok(Some(current));
    }
    let (ticket, grace) = (state.cache.ticket(), state.tokens.lifetimes.refresh_grace);
    let find = move |connection: &mut _| find_browser_state(connection, &cookie, grace, true);
    let found = state.core.database.run(find).await;
    let found = found?.map(|mut browser| {
        share_names(state, browser.state.user.as_mut());
        let current = &mut browser.state;
        apply_lost_end(state, browser.id, &mut current.ended, current.user.as_ref());
        Arc::new(browser)
    });
    if let (Some(ticket), Some(current)) = (ticket, &found) {
        let until_over = current.former.filter(|former| !former.is_over).and_then(|former| former.left);
        let left = cache_ttl(current.left).min(until_over.unwrap_or(Duration::MAX));
        state.cache.insert_browser(ticket, current, left);
    }
    Ok(found)
}

/// Returns the state of the personal token with this digest, or `None` if it does not exist.
pub async fn personal_token_state(
    state: &State,
    digest: Digest,
) -> Result<Option<Arc<PersonalTokenState>>, Refusal> {
    if let Some(current) = state.cache.personal_token(&digest) {
        return Ok(Some(current));
    }
    let ticket = state.cache.ticket();
    let found =
        state.core.database.run(move |connection| personal_token::find_state(connection, &digest)).await;
    let found = found?.map(|mut current| {
        current.scope = state.cache.share(&current.scope);
        share_names(state, current.user.as_mut());
        apply_lost_end(state, current.id, &mut current.revoked, current.user.as_ref());
        Arc::new(current)
    });
    if let (Some(ticket), Some(current)) = (ticket, &found) {
        state.cache.insert_personal_token(ticket, digest, current, cache_ttl(current.left));
    }
    Ok(found)
}

/// Sets the end of an active session or token if this node knows that it has ended. The database may have
/// lost that.
fn apply_lost_end<R: From<String>>(
    state: &State,
    id: Uuid,
    ended: &mut Option<Ended<R>>,
    user: Option<&Owner>,
) {
    if ended.is_none() && user.is_some() {
        *ended = state.cache.ended(id).map(|ended| ended.map(R::from));
    }
}

fn share_names(state: &State, owner: Option<&mut Owner>) {
    if let Some(owner) = owner {
        owner.permissions = state.cache.share(&owner.permissions);
    }
}

/// Returns when and why a user's version was first increased past that of a token.
pub async fn version_raised(state: &State, user_id: Uuid, version: i64) -> Result<Raised, Refusal> {
    if let Some(raised) = state.cache.raised(user_id, version) {
        return Ok(raised);
    }
    let ticket = state.cache.ticket();
    let found = state
        .core
        .database
        .run(move |connection| revocation::find_of_user(connection, user_id, version))
        .await?;
    if let Some(ticket) = ticket {
        state.cache.insert_raised(ticket, user_id, version, &found);
    }
    Ok(found)
}

/// Returns the database's time, as the feed last read it, or from the database if the feed has not read it
/// yet.
pub async fn database_time(state: &State) -> Result<DateTime<Utc>, Refusal> {
    match state.core.database_clock.now() {
        Some(time) => Ok(time),
        None => state.core.database.run(crate::database::find_time).await.map_err(Refusal::from),
    }
}

fn cache_ttl(left: Duration) -> Duration {
    if left.is_zero() { OVER_FOR } else { left }
}
