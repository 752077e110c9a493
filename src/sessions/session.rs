//! The session: a signed-in device, its row, and how it begins and ends.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use serde_json::json;
use uuid::Uuid;

use crate::audit::event::{self, EventType, Origin, Subject};
use crate::database::now;
use crate::database::schema::{refresh_tokens, roles, sessions, signing_keys, users};
use crate::tokens::revocation::{self, Revoked};

/// How long things last, and how many there may be. Settings.
#[derive(Clone, Debug)]
pub struct Limits {
    /// An access token's life.
    pub access_ttl: Duration,
    /// A refresh token's idle life.
    pub refresh_ttl: Duration,
    /// A session's whole life.
    pub session_ttl: Duration,
    /// How long a spent refresh token is forgiven in any case; zero: not at all.
    pub refresh_grace: Duration,
    /// Sessions that a user may have at once.
    pub max_sessions: u32,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its own client signed out.
    Logout,
    /// Its user ended it from another session.
    EndedByUser,
    /// An admin ended it.
    EndedByAdmin,
    /// Its user changed the password.
    PasswordChanged,
    /// An admin set the password anew.
    PasswordReset,
    /// A spent refresh token of it was used again.
    RefreshTokenReused,
    /// Its user began more sessions than a user may have.
    TooManySessions,
    /// Its user is no more.
    AccountDeleted,
    /// A backup was restored.
    DatabaseRestored,
}

impl EndReason {
    /// The name in the database and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::EndedByUser => "ended_by_user",
            Self::EndedByAdmin => "ended_by_admin",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::TooManySessions => "too_many_sessions",
            Self::AccountDeleted => "account_deleted",
            Self::DatabaseRestored => "database_restored",
        }
    }
}

/// What a statement that issues tokens read: all that goes into them.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The session.
    pub session_id: Uuid,
    /// Its user.
    pub user_id: Uuid,
    /// The user's name.
    pub username: String,
    /// The user's version, as this statement read it.
    pub version: i64,
    /// What the user may, as this statement read it.
    pub permissions: Vec<String>,
    /// What the sign-in asked for; `None`: whatever the user may.
    pub session_scope: Option<Vec<String>>,
    /// The last sign-in or step-up.
    pub auth_time: DateTime<Utc>,
    /// The generation of the live refresh token.
    pub generation: i32,
    /// The end of its idle life.
    pub refresh_expires_at: DateTime<Utc>,
    /// The database's time.
    pub issued_at: DateTime<Utc>,
}

impl Grant {
    /// What a token of this session may carry at most, sorted by name.
    #[must_use]
    pub fn scope(&self) -> Vec<String> {
        let within = |name: &&String| self.session_scope.as_ref().is_none_or(|scope| scope.contains(name));
        let mut scope: Vec<String> = self.permissions.iter().filter(within).cloned().collect();
        scope.sort();
        scope
    }
}

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
    /// SHA-256 of the refresh token's random bytes.
    pub secret_digest: [u8; 32],
}

/// Begins a session of an API client, in the caller's transaction.
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
    let details = json!({ "kind": "api", "device": new.device, "scope": new.scope });
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

fn insert(
    connection: &mut PgConnection,
    new: &NewSession,
    limits: &Limits,
    origin: &Origin,
    issued_at: DateTime<Utc>,
) -> QueryResult<DateTime<Utc>> {
    let expires_at = issued_at + delta(limits.session_ttl);
    let refresh_expires_at = expires_at.min(issued_at + delta(limits.refresh_ttl));
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(new.id),
            sessions::user_id.eq(new.user_id),
            sessions::kind.eq("api"),
            sessions::device.eq(&new.device),
            sessions::address.eq(origin.address.as_deref()),
            sessions::scope.eq(&new.scope),
            sessions::auth_time.eq(issued_at),
            sessions::created_at.eq(issued_at),
            sessions::last_used_at.eq(issued_at),
            sessions::expires_at.eq(expires_at),
        ))
        .execute(connection)?;
    diesel::insert_into(refresh_tokens::table)
        .values((
            refresh_tokens::session_id.eq(new.id),
            refresh_tokens::secret_digest.eq(new.secret_digest.as_slice()),
            refresh_tokens::expires_at.eq(refresh_expires_at),
        ))
        .execute(connection)?;
    Ok(refresh_expires_at)
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
        end(connection, &Which::These(ids), EndReason::TooManySessions, origin)?;
    }
    Ok(())
}

/// Those of `wanted` that are not in `had`.
#[must_use]
pub fn missing(wanted: Option<&[String]>, had: &[String]) -> Vec<String> {
    wanted.unwrap_or_default().iter().filter(|name| !had.contains(name)).cloned().collect()
}

/// A duration of a setting as a difference of times.
#[must_use]
pub fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// A live session, for those who may see it.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// `browser` or `api`.
    pub kind: String,
    /// What the device calls itself.
    pub device: Option<String>,
    /// The address that it was begun from.
    pub address: Option<String>,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it was last refreshed or used, to within the batch's few seconds.
    pub last_used_at: DateTime<Utc>,
    /// When it ends if it is not used again.
    pub expires_at: DateTime<Utc>,
}

/// The live sessions of a user, the latest begun first.
///
/// # Errors
/// PostgreSQL's.
pub fn list(connection: &mut PgConnection, user_id: Uuid) -> QueryResult<Vec<Session>> {
    type Times = (DateTime<Utc>, Vec<DateTime<Utc>>);
    type Row = (Uuid, String, Option<String>, Option<String>, DateTime<Utc>, DateTime<Utc>, DateTime<Utc>);
    let rows: Vec<(Row, Option<Times>)> = sessions::table
        .left_join(refresh_tokens::table)
        .filter(sessions::user_id.eq(user_id))
        .filter(sessions::ended_at.is_null().and(sessions::expires_at.gt(now())))
        .filter(
            refresh_tokens::expires_at
                .nullable()
                .is_null()
                .or(refresh_tokens::expires_at.nullable().gt(now().nullable())),
        )
        .select((
            (
                sessions::id,
                sessions::kind,
                sessions::device,
                sessions::address,
                sessions::created_at,
                sessions::last_used_at,
                sessions::expires_at,
            ),
            (refresh_tokens::expires_at, refresh_tokens::rotated_at).nullable(),
        ))
        .order(sessions::id.desc())
        .load(connection)?;
    let session = |((id, kind, device, address, created_at, used, ends), refresh): (Row, Option<Times>)| {
        let (idle_ends, rotated_at) = refresh.unwrap_or((ends, Vec::new()));
        let last_used_at = rotated_at.first().map_or(used, |rotated| used.max(*rotated));
        Session { id, kind, device, address, created_at, last_used_at, expires_at: ends.min(idle_ends) }
    };
    Ok(rows.into_iter().map(session).collect())
}

/// Which sessions to end.
#[derive(Clone, Debug)]
pub enum Which {
    /// These, where they have not ended.
    These(Vec<Uuid>),
    /// Every one of a user.
    AllOf(Uuid),
    /// Every one of a user but this one.
    OthersOf(Uuid, Uuid),
    /// One, if it is this user's.
    OneOf(Uuid, Uuid),
    /// The one whose refresh token has random bytes of this digest.
    OfRefreshToken(Uuid, [u8; 32]),
    /// Every session there is.
    Every,
}

/// Ends sessions, in the caller's transaction: their rows, their refresh tokens' rows and the feed are written
/// together. Gives the ids of those that had not ended before.
///
/// # Errors
/// PostgreSQL's.
pub fn end(
    connection: &mut PgConnection,
    which: &Which,
    reason: EndReason,
    origin: &Origin,
) -> QueryResult<Vec<Uuid>> {
    let ids = find_unended(connection, which)?;
    if ids.is_empty() {
        return Ok(ids);
    }
    // The refresh token's row first, as rotation locks it first.
    diesel::update(refresh_tokens::table)
        .filter(refresh_tokens::session_id.eq_any(&ids).and(refresh_tokens::ended_at.is_null()))
        .set((
            refresh_tokens::ended_at.eq(now().nullable()),
            refresh_tokens::ended_reason.eq(reason.as_str()),
        ))
        .execute(connection)?;
    type Ended = (Uuid, Option<Uuid>, Option<String>, DateTime<Utc>);
    let ended: Vec<Ended> = diesel::update(sessions::table)
        .filter(sessions::id.eq_any(&ids).and(sessions::ended_at.is_null()))
        .set((sessions::ended_at.eq(now().nullable()), sessions::ended_reason.eq(reason.as_str())))
        .returning((sessions::id, sessions::user_id, sessions::device, sessions::expires_at))
        .get_results(connection)?;
    for (id, user_id, device, expires_at) in &ended {
        let session = Revoked::Session(*id);
        revocation::insert(connection, &session, reason.as_str(), *expires_at)?;
        let origin = Origin { session_id: Some(*id), ..origin.clone() };
        let details = json!({ "reason": reason.as_str(), "device": device });
        event::insert(
            connection,
            &origin,
            EventType::SessionEnded,
            Subject { id: *user_id, name: None },
            &details,
        )?;
    }
    Ok(ended.into_iter().map(|(id, ..)| id).collect())
}

fn find_unended(connection: &mut PgConnection, which: &Which) -> QueryResult<Vec<Uuid>> {
    let mut query = sessions::table.filter(sessions::ended_at.is_null()).select(sessions::id).into_boxed();
    query = match which {
        Which::These(ids) => query.filter(sessions::id.eq_any(ids)),
        Which::AllOf(user_id) => query.filter(sessions::user_id.eq(user_id)),
        Which::OthersOf(user_id, kept) => {
            query.filter(sessions::user_id.eq(user_id).and(sessions::id.ne(kept)))
        }
        Which::OneOf(user_id, id) => query.filter(sessions::user_id.eq(user_id).and(sessions::id.eq(id))),
        Which::OfRefreshToken(id, digest) => {
            let genuine = refresh_tokens::table
                .filter(refresh_tokens::secret_digest.eq(digest.as_slice()))
                .select(refresh_tokens::session_id);
            query.filter(sessions::id.eq(id).and(sessions::id.eq_any(genuine)))
        }
        Which::Every => query,
    };
    query.order(sessions::id).load(connection)
}

/// How a session stands at this moment, with its user: what the guard asks for each request.
#[derive(Clone, Debug)]
pub struct Standing {
    /// When and why it ended.
    pub ended: Option<(DateTime<Utc>, String)>,
    /// The end of its whole life.
    pub expires_at: DateTime<Utc>,
    /// Its user; none: the account is deleted.
    pub user: Option<StandingUser>,
}

/// A user as the guard sees him.
#[derive(Clone, Debug, Queryable)]
pub struct StandingUser {
    /// The id.
    pub id: Uuid,
    /// The name.
    pub username: String,
    /// The address.
    pub email: Option<String>,
    /// `active` or `disabled`.
    pub status: String,
    /// Raised by changes of role and status.
    pub version: i64,
    /// The role's name.
    pub role: String,
    /// What the role may.
    pub permissions: Vec<String>,
}

/// A session's standing, and when the key that signed the access token was revoked: one round trip.
///
/// # Errors
/// PostgreSQL's.
pub fn find_standing(
    connection: &mut PgConnection,
    id: Uuid,
    kid: &str,
) -> QueryResult<(Option<DateTime<Utc>>, Option<Standing>)> {
    type Ended = (Option<DateTime<Utc>>, Option<String>);
    type Row = (Option<DateTime<Utc>>, Ended, DateTime<Utc>, Option<StandingUser>);
    let key_revoked_at =
        signing_keys::table.filter(signing_keys::kid.eq(kid)).select(signing_keys::revoked_at).single_value();
    let row: Option<Row> = sessions::table
        .left_join(users::table.inner_join(roles::table))
        .filter(sessions::id.eq(id))
        .select((
            key_revoked_at,
            (sessions::ended_at, sessions::ended_reason),
            sessions::expires_at,
            (
                users::id,
                users::username,
                users::email,
                users::status,
                users::version,
                users::role,
                roles::permissions,
            )
                .nullable(),
        ))
        .first(connection)
        .optional()?;
    Ok(row.map_or((None, None), |(key_revoked_at, (at, why), expires_at, user)| {
        (key_revoked_at, Some(Standing { ended: at.zip(why), expires_at, user }))
    }))
}

/// What became of a step-up whose password was right.
#[derive(Clone, Debug)]
pub struct SteppedUp {
    /// The new time of sign-in.
    pub auth_time: DateTime<Utc>,
    /// The user's version, as this statement read it.
    pub version: i64,
    /// The end of the session's whole life.
    pub session_ends: DateTime<Utc>,
}

/// Notes that the session's user has just given his password. `None`: the session has ended or the password was
/// changed meanwhile.
///
/// # Errors
/// PostgreSQL's.
pub fn step_up(
    connection: &mut PgConnection,
    id: Uuid,
    user_id: Uuid,
    verified_hash: &str,
    origin: &Origin,
) -> QueryResult<Option<SteppedUp>> {
    let user: Option<(String, i64)> = users::table
        .filter(users::id.eq(user_id))
        .filter(users::password_hash.eq(verified_hash).and(users::status.eq("active")))
        .select((users::username, users::version))
        .for_no_key_update()
        .first(connection)
        .optional()?;
    let Some((username, version)) = user else { return Ok(None) };
    let updated: Option<(DateTime<Utc>, DateTime<Utc>)> = diesel::update(sessions::table)
        .filter(sessions::id.eq(id).and(sessions::ended_at.is_null()))
        .set(sessions::auth_time.eq(now()))
        .returning((sessions::auth_time, sessions::expires_at))
        .get_result(connection)
        .optional()?;
    let Some((auth_time, session_ends)) = updated else { return Ok(None) };
    let subject = Subject { id: Some(user_id), name: Some(&username) };
    event::insert(connection, origin, EventType::SteppedUp, subject, &json!({}))?;
    Ok(Some(SteppedUp { auth_time, version, session_ends }))
}
