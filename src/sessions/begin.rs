//! The beginning of a session: a sign-in whose password was right.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::end::{EndReason, Which, end_sessions};
use super::session::{Grant, Limits, delta, list};
use crate::audit::event::{self, EventType, Origin, Subject};
use crate::database::now;
use crate::database::schema::{refresh_tokens, roles, sessions, users};

/// A session to be begun.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its id, which its refresh token carries too.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// The password hash that was verified: no session begins when it is no longer the user's.
    pub verified_hash: String,
    /// The hash anew, where its cost was another.
    pub upgraded_hash: Option<String>,
    /// What the device calls itself.
    pub device: Option<String>,
    /// What was asked for; `None`: whatever the user may.
    pub scope: Option<Vec<String>>,
    /// By what it will be known again.
    pub held_by: HeldBy,
}

/// What a session's client holds of it.
#[derive(Clone, Debug)]
pub enum HeldBy {
    /// An API client: a refresh token whose random bytes have this SHA-256.
    RefreshToken([u8; 32]),
    /// A browser: a cookie whose key has this SHA-256.
    Cookie {
        /// The digest.
        digest: [u8; 32],
        /// How long the session lives without being used.
        idle_ttl: Duration,
    },
}

impl HeldBy {
    const fn kind(&self) -> &'static str {
        match self {
            Self::RefreshToken(_) => "api",
            Self::Cookie { .. } => "browser",
        }
    }
}

/// Begins a session, in the caller's transaction. `None`: the user's password or status is no longer what was verified.
///
/// # Errors
/// PostgreSQL's.
pub fn begin(
    connection: &mut PgConnection,
    new: &NewSession,
    limits: &Limits,
    origin: &Origin,
) -> QueryResult<Option<Grant>> {
    // The row's lock makes sign-ins of one user take turns, with each other and with a change of password.
    let hash = new.upgraded_hash.as_deref().unwrap_or(&new.verified_hash);
    let user: Option<(String, i64, String, DateTime<Utc>)> = diesel::update(users::table.find(new.user_id))
        .filter(users::password_hash.eq(&new.verified_hash).and(users::status.eq("active")))
        .set((users::last_login_at.eq(now().nullable()), users::password_hash.eq(hash)))
        .returning((users::username, users::version, users::role, now()))
        .get_result(connection)
        .optional()?;
    let Some((username, version, role, issued_at)) = user else { return Ok(None) };
    let permissions: Vec<String> = roles::table.find(role).select(roles::permissions).first(connection)?;
    end_beyond_limit(connection, new.user_id, limits, origin)?;
    let refresh_expires_at = insert(connection, new, limits, origin, issued_at)?;
    let session = Origin { session_id: Some(new.id), ..origin.of(new.user_id, &username) };
    let subject = Subject { id: Some(new.user_id), name: Some(&username) };
    let details = json!({ "kind": new.held_by.kind(), "device": new.device, "scope": new.scope });
    event::insert(connection, &session, EventType::LoginSucceeded, subject, &details)?;
    Ok(Some(Grant {
        session_id: new.id,
        user_id: new.user_id,
        username,
        version,
        permissions,
        session_scope: new.scope.clone(),
        auth_time: issued_at,
        generation: 1,
        refresh_expires_at,
        issued_at,
    }))
}

/// Gives the end of the session's idle lifetime.
fn insert(
    connection: &mut PgConnection,
    new: &NewSession,
    limits: &Limits,
    origin: &Origin,
    issued_at: DateTime<Utc>,
) -> QueryResult<DateTime<Utc>> {
    let expires_at = issued_at + delta(limits.session_ttl);
    let (cookie_digest, idle_ttl) = match &new.held_by {
        HeldBy::RefreshToken(_) => (None, None),
        HeldBy::Cookie { digest, idle_ttl } => (Some(digest.as_slice()), Some(*idle_ttl)),
    };
    let idle_seconds = idle_ttl.map(|ttl| i32::try_from(ttl.as_secs()).unwrap_or(i32::MAX));
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(new.id),
            sessions::user_id.eq(new.user_id),
            sessions::kind.eq(new.held_by.kind()),
            sessions::device.eq(&new.device),
            sessions::address.eq(origin.address.as_deref()),
            sessions::scope.eq(&new.scope),
            sessions::auth_time.eq(issued_at),
            sessions::created_at.eq(issued_at),
            sessions::last_used_at.eq(issued_at),
            sessions::expires_at.eq(expires_at),
            sessions::cookie_digest.eq(cookie_digest),
            sessions::idle_seconds.eq(idle_seconds),
        ))
        .execute(connection)?;
    let idle_end = expires_at.min(issued_at + delta(idle_ttl.unwrap_or(limits.refresh_ttl)));
    if let HeldBy::RefreshToken(digest) = &new.held_by {
        diesel::insert_into(refresh_tokens::table)
            .values((
                refresh_tokens::session_id.eq(new.id),
                refresh_tokens::secret_digest.eq(digest.as_slice()),
                refresh_tokens::expires_at.eq(idle_end),
            ))
            .execute(connection)?;
    }
    Ok(idle_end)
}

/// Makes room for one session more: the ones used longest ago end.
fn end_beyond_limit(
    connection: &mut PgConnection,
    user_id: Uuid,
    limits: &Limits,
    origin: &Origin,
) -> QueryResult<()> {
    let mut live = list(connection, user_id)?;
    let keep = (limits.max_sessions as usize).saturating_sub(1);
    if live.len() > keep {
        live.sort_by_key(|session| std::cmp::Reverse(session.last_used_at));
        let ids = live.split_off(keep).iter().map(|session| session.id).collect();
        end_sessions(connection, &Which::These(ids), EndReason::TooManySessions, origin)?;
    }
    Ok(())
}
