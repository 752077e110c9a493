//! Looks up the current state of a session or token, in the cache while the feed is up, and otherwise in the
//! database.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::cache::remembered::{CachedToken, Raised};
use crate::digest::Digest;
use crate::refusal::Problem;
use crate::sessions::{BrowserStanding, CookieDigest, Standing, find_browser_standing, find_standing};
use crate::state::State;
use crate::tokens::access_token::{self, AccessTokenFlaw, Signed};
use crate::tokens::ended::Ended;
use crate::tokens::owner::Holder;
use crate::tokens::personal_token::{self, TokenStanding};
use crate::tokens::revocation;

/// Expired credentials stay expired, but they are looked up again after this time.
const OVER_FOR: Duration = Duration::from_secs(60);

/// The result of looking up an API client's session.
pub enum Found {
    /// The session's state.
    Standing(Arc<Standing>),
    /// The session does not exist.
    Nothing,
    /// The key that signed the access token is revoked.
    KeyRevoked,
}

/// Verifies an access token's signature, and caches the result.
///
/// # Errors
/// The error of the format, the key or the signature.
pub fn signed_access_token(state: &State, token: &str) -> Result<Arc<Signed>, AccessTokenFlaw> {
    if token.len() > access_token::MAX_LEN {
        return Err(AccessTokenFlaw::Malformed);
    }
    let (ring, digest) = (state.tokens.keys.current(), Digest::of(token));
    match state.cache.access_token(&digest) {
        Some(CachedToken::Genuine(signed)) => return signed.check_key(&ring).map(|()| signed),
        Some(CachedToken::Forged) => return Err(AccessTokenFlaw::SignatureInvalid),
        None => {}
    }
    let verified = access_token::verify_signature(&ring, &state.tokens.issuer, token).map(|mut signed| {
        signed.scope = state.cache.share(&signed.scope);
        Arc::new(signed)
    });
    match &verified {
        Ok(signed) => {
            state.cache.remember_access_token(digest, CachedToken::Genuine(Arc::clone(signed)));
        }
        Err(AccessTokenFlaw::SignatureInvalid) => {
            state.cache.remember_access_token(digest, CachedToken::Forged);
        }
        Err(_) => {}
    }
    verified
}

/// Returns the state of an access token's session, or that the key that signed the token is revoked.
pub async fn session_standing(state: &State, id: Uuid, kid: &str) -> Result<Found, Problem> {
    if let Some(standing) = state.cache.session(id) {
        return Ok(Found::Standing(standing));
    }
    let (ticket, kid) = (state.cache.ticket(), kid.to_owned());
    let grace = state.tokens.lifetimes.refresh_grace;
    let found = state.core.database.run(move |connection| find_standing(connection, id, &kid, grace)).await;
    let (key_revoked_at, standing) = found?;
    if key_revoked_at.is_some() {
        return Ok(Found::KeyRevoked);
    }
    let Some(mut standing) = standing else { return Ok(Found::Nothing) };
    share_names(state, standing.user.as_mut());
    end_what_is_lost(state, id, &mut standing.ended, standing.user.as_ref());
    let standing = Arc::new(standing);
    if let Some(ticket) = ticket {
        state.cache.remember_session(ticket, id, &standing);
    }
    Ok(Found::Standing(standing))
}

/// Returns the state of the session that this cookie belongs, or belonged, to. Returns `None` if there is
/// none. The lookup records the cookie as presented.
pub async fn browser_standing(
    state: &State,
    cookie: CookieDigest,
) -> Result<Option<Arc<BrowserStanding>>, Problem> {
    if let Some(standing) = state.cache.browser(&cookie) {
        return Ok(Some(standing));
    }
    let (ticket, grace) = (state.cache.ticket(), state.tokens.lifetimes.refresh_grace);
    let find = move |connection: &mut _| find_browser_standing(connection, &cookie, grace, true);
    let found = state.core.database.run(find).await;
    let found = found?.map(|mut browser| {
        share_names(state, browser.standing.user.as_mut());
        let standing = &mut browser.standing;
        end_what_is_lost(state, browser.id, &mut standing.ended, standing.user.as_ref());
        Arc::new(browser)
    });
    if let (Some(ticket), Some(standing)) = (ticket, &found) {
        let until_over = standing.former.filter(|former| !former.is_over).and_then(|former| former.left);
        let left = good_for(standing.left).min(until_over.unwrap_or(Duration::MAX));
        state.cache.remember_browser(ticket, standing, left);
    }
    Ok(found)
}

/// Returns the state of the personal token with this digest, or `None` if it does not exist.
pub async fn personal_token_standing(
    state: &State,
    digest: Digest,
) -> Result<Option<Arc<TokenStanding>>, Problem> {
    if let Some(standing) = state.cache.personal_token(&digest) {
        return Ok(Some(standing));
    }
    let ticket = state.cache.ticket();
    let found =
        state.core.database.run(move |connection| personal_token::find_standing(connection, &digest)).await;
    let found = found?.map(|mut standing| {
        standing.scope = state.cache.share(&standing.scope);
        share_names(state, standing.user.as_mut());
        end_what_is_lost(state, standing.id, &mut standing.revoked, standing.user.as_ref());
        Arc::new(standing)
    });
    if let (Some(ticket), Some(standing)) = (ticket, &found) {
        state.cache.remember_personal_token(ticket, digest, standing, good_for(standing.left));
    }
    Ok(found)
}

/// Sets the end of a live session or token if this node knows that it has ended. The database may have lost
/// that.
fn end_what_is_lost<R: From<String>>(
    state: &State,
    id: Uuid,
    ended: &mut Option<Ended<R>>,
    user: Option<&Holder>,
) {
    if ended.is_none() && user.is_some() {
        *ended = state.cache.ended(id).map(|ended| ended.map(R::from));
    }
}

fn share_names(state: &State, holder: Option<&mut Holder>) {
    if let Some(holder) = holder {
        holder.permissions = state.cache.share(&holder.permissions);
    }
}

/// Returns when and why a user's version was first increased past that of a token.
pub async fn version_raised(state: &State, user_id: Uuid, version: i64) -> Result<Raised, Problem> {
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
        state.cache.remember_raised(ticket, user_id, version, &found);
    }
    Ok(found)
}

/// Returns the database's time, as the feed last read it, or from the database if the feed has not read it
/// yet.
pub async fn database_time(state: &State) -> Result<DateTime<Utc>, Problem> {
    match state.core.database_clock.now() {
        Some(time) => Ok(time),
        None => state.core.database.run(crate::database::find_time).await.map_err(Problem::from),
    }
}

fn good_for(left: Duration) -> Duration {
    if left.is_zero() { OVER_FOR } else { left }
}
