//! Starts a session after a sign-in with the correct password.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::data_types::PgInterval;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{
    Array, BigInt, Binary, Bool, Integer, Interval, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use serde_json::Value;
use uuid::Uuid;

use super::cookie_digest::CookieDigest;
use super::end::{EndReason, SessionSelection, end_sessions};
use super::session::{Grant, SessionKind, SessionLimits, delta, interval, list};
use crate::audit::{EventDetails, Origin};
use crate::digest::Digest;
use crate::random;

/// A session to start.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The refresh token contains this ID too.
    pub id: Uuid,
    pub user_id: Uuid,
    /// The password hash that was verified. The session does not start if the user has another hash by now.
    pub verified_hash: String,
    /// A new hash of the same password, if the stored one has an outdated cost or format.
    pub upgraded_hash: Option<String>,
    /// The name that the device gave itself.
    pub device: Option<String>,
    /// The scope that the sign-in requested. `None` means all of the user's permissions.
    pub scope: Option<Vec<String>>,
    /// The credential that the client gets for the session.
    pub secret: SessionSecret,
}

/// The credential that a client holds for its session.
#[derive(Clone, Debug)]
pub enum SessionSecret {
    /// An API client's refresh token, by the SHA-256 of its random bytes.
    RefreshToken(Digest),
    /// A browser's cookie, by the SHA-256 of its key.
    Cookie {
        digest: CookieDigest,
        /// The session expires if it is not used for this long.
        idle_ttl: Duration,
        /// True if the browser keeps the cookie after it is closed.
        is_kept: bool,
    },
}

/// The columns of a [`SessionSecret`].
struct SecretColumns<'a> {
    kind: SessionKind,
    secret_digest: Option<&'a [u8]>,
    cookie_digest: Option<&'a [u8]>,
    idle_seconds: Option<i32>,
    is_kept: Option<bool>,
}

impl<'a> SecretColumns<'a> {
    fn of(secret: &'a SessionSecret) -> Self {
        match secret {
            SessionSecret::RefreshToken(digest) => {
                let (cookie_digest, idle_seconds, is_kept) = (None, None, None);
                Self {
                    kind: SessionKind::Api,
                    secret_digest: Some(digest.as_slice()),
                    cookie_digest,
                    idle_seconds,
                    is_kept,
                }
            }
            SessionSecret::Cookie { digest, idle_ttl, is_kept } => Self {
                kind: SessionKind::Browser,
                secret_digest: None,
                cookie_digest: Some(digest.as_slice()),
                idle_seconds: Some(i32::try_from(idle_ttl.as_secs()).unwrap_or(i32::MAX)),
                is_kept: Some(*is_kept),
            },
        }
    }
}

/// Starts a session, in the caller's transaction. Returns `None` if the user's password has changed since it
/// was verified, or if the account is no longer active.
pub fn begin(
    connection: &mut PgConnection,
    new: &NewSession,
    limits: &SessionLimits,
    origin: &Origin,
) -> QueryResult<Option<Grant>> {
    let secret = SecretColumns::of(&new.secret);
    let details = EventDetails::LoginSucceeded {
        kind: secret.kind.to_string(),
        device: new.device.clone(),
        scope: new.scope.clone(),
    };
    let beginning = StartSession {
        new,
        details: origin.with_doubt(details.to_json()),
        secret,
        origin,
        session_ttl: interval(limits.session_ttl),
        refresh_ttl: interval(limits.refresh_ttl),
        event_id: random::id(),
    };
    let started: Option<StartedSession> = beginning.get_result(connection).optional()?;
    let Some(started) = started else { return Ok(None) };
    if started.is_outrun || started.sessions > i64::from(limits.max_sessions) {
        end_beyond_limit(connection, new, limits, origin)?;
    }
    let idle_ttl = match &new.secret {
        SessionSecret::RefreshToken(_) => limits.refresh_ttl,
        SessionSecret::Cookie { idle_ttl, .. } => *idle_ttl,
    };
    Ok(Some(Grant {
        session_id: new.id,
        user_id: new.user_id,
        username: started.username,
        version: started.version,
        permissions: started.permissions,
        session_scope: new.scope.clone(),
        auth_time: started.issued_at,
        generation: 1,
        refresh_expires_at: started.expires_at.min(started.issued_at + delta(idle_ttl)),
        issued_at: started.issued_at,
    }))
}

/// The row that the statement returns.
#[derive(Queryable)]
struct StartedSession {
    username: String,
    version: i64,
    permissions: Vec<String>,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    sessions: i64,
    /// True if other sign-ins of the user committed during the statement. `sessions` does not count theirs.
    is_outrun: bool,
}

/// A statement that writes the user, the session, its credential and the event in one round trip. It is a
/// type of its own so that diesel prepares it once per connection.
struct StartSession<'a> {
    new: &'a NewSession,
    secret: SecretColumns<'a>,
    origin: &'a Origin,
    session_ttl: PgInterval,
    refresh_ttl: PgInterval,
    event_id: Uuid,
    details: Value,
}

impl QueryId for StartSession<'_> {
    type QueryId = StartSession<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for StartSession<'_> {
    type SqlType = (Text, BigInt, Array<Text>, Timestamptz, Timestamptz, BigInt, Bool);
}

impl RunQueryDsl<PgConnection> for StartSession<'_> {}

/// The statement after its parameters. The lock on the user's row serialises the sign-ins of one user with
/// each other and with changes of the password.
///
/// The count covers the sessions that existed when the statement started, and the new one. If the locked row
/// is not the one that the statement saw, other sign-ins committed first, and their sessions are not counted.
const STATEMENT: &str = "
    locked AS (
        SELECT u.id, u.xmin AS written_by FROM users AS u, given AS g
         WHERE u.id = g.user_id AND u.password_hash = g.verified_hash AND u.status = 'active'
           FOR NO KEY UPDATE OF u
    ), signing_in AS (
        UPDATE users AS u SET last_login_at = now(), password_hash = coalesce(g.upgraded_hash, u.password_hash)
          FROM given AS g, locked AS l
         WHERE u.id = l.id
        RETURNING u.id, u.username, u.version, u.role
    ), begun AS (
        INSERT INTO sessions (id, user_id, kind, device, address, scope, auth_time, created_at, last_used_at, expires_at,
            cookie_digest, idle_seconds, is_kept)
        SELECT g.session_id, u.id, g.kind, g.device, g.address, g.scope, now(), now(), now(), now() + g.session_ttl,
            g.cookie_digest, g.idle_seconds, g.is_kept
          FROM signing_in AS u, given AS g
        RETURNING id, expires_at
    ), held AS (
        INSERT INTO refresh_tokens (session_id, secret_digest, expires_at)
        SELECT s.id, g.secret_digest, least(s.expires_at, now() + g.refresh_ttl) FROM begun AS s, given AS g
         WHERE g.secret_digest IS NOT NULL
    ), noted AS (
        INSERT INTO audit_events (id, occurred_at, type, actor_id, actor_name, subject_id, subject_name, session_id,
            address, request_id, details)
        SELECT g.event_id, now(), 'login_succeeded', u.id, u.username, u.id, u.username, g.session_id, g.address,
            g.request_id, g.details
          FROM signing_in AS u, given AS g
    )
    SELECT u.username, u.version, r.permissions, now(), s.expires_at,
        1 + (SELECT count(*) FROM sessions AS o WHERE o.user_id = u.id AND o.ended_at IS NULL AND o.expires_at > now()),
        l.written_by <> (SELECT found.xmin FROM users AS found WHERE found.id = l.id)
      FROM signing_in AS u JOIN roles AS r ON r.name = u.role, locked AS l, begun AS s";

impl QueryFragment<Pg> for StartSession<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let (new, origin) = (self.new, self.origin);
        out.push_sql("WITH given AS MATERIALIZED (SELECT ");
        out.push_bind_param::<SqlUuid, _>(&new.id)?;
        out.push_sql(" AS session_id, ");
        out.push_bind_param::<SqlUuid, _>(&new.user_id)?;
        out.push_sql(" AS user_id, ");
        out.push_bind_param::<Text, _>(&new.verified_hash)?;
        out.push_sql(" AS verified_hash, ");
        out.push_bind_param::<Nullable<Text>, _>(&new.upgraded_hash)?;
        out.push_sql(" AS upgraded_hash, ");
        out.push_bind_param::<Text, _>(&self.secret.kind)?;
        out.push_sql(" AS kind, ");
        out.push_bind_param::<Nullable<Binary>, _>(&self.secret.secret_digest)?;
        out.push_sql(" AS secret_digest, ");
        out.push_bind_param::<Nullable<Binary>, _>(&self.secret.cookie_digest)?;
        out.push_sql(" AS cookie_digest, ");
        out.push_bind_param::<Nullable<Integer>, _>(&self.secret.idle_seconds)?;
        out.push_sql(" AS idle_seconds, ");
        out.push_bind_param::<Nullable<Bool>, _>(&self.secret.is_kept)?;
        out.push_sql(" AS is_kept, ");
        out.push_bind_param::<Nullable<Text>, _>(&new.device)?;
        out.push_sql(" AS device, ");
        out.push_bind_param::<Nullable<Array<Text>>, _>(&new.scope)?;
        out.push_sql(" AS scope, ");
        out.push_bind_param::<Interval, _>(&self.session_ttl)?;
        out.push_sql(" AS session_ttl, ");
        out.push_bind_param::<Interval, _>(&self.refresh_ttl)?;
        out.push_sql(" AS refresh_ttl, ");
        out.push_bind_param::<SqlUuid, _>(&self.event_id)?;
        out.push_sql(" AS event_id, ");
        out.push_bind_param::<Nullable<Text>, _>(&origin.address)?;
        out.push_sql(" AS address, ");
        out.push_bind_param::<Nullable<SqlUuid>, _>(&origin.request_id)?;
        out.push_sql(" AS request_id, ");
        out.push_bind_param::<Jsonb, _>(&self.details)?;
        out.push_sql(" AS details), ");
        out.push_sql(STATEMENT);
        Ok(())
    }
}

/// Ends the sessions that were used longest ago, to make room for the new one.
fn end_beyond_limit(
    connection: &mut PgConnection,
    new: &NewSession,
    limits: &SessionLimits,
    origin: &Origin,
) -> QueryResult<()> {
    let mut live = list(connection, new.user_id)?;
    live.retain(|session| session.id != new.id);
    let keep = (limits.max_sessions as usize).saturating_sub(1);
    if live.len() > keep {
        live.sort_by_key(|session| std::cmp::Reverse(session.last_used_at));
        let ids = live.split_off(keep).iter().map(|session| session.id).collect();
        end_sessions(connection, &SessionSelection::These(ids), EndReason::TooManySessions, origin)?;
    }
    Ok(())
}
