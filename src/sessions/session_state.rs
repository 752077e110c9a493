//! Looks up the current state of a session and its user. The guard needs it for each request.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::{Array, Integer, Timestamptz};
use uuid::Uuid;

use super::cookie_digest::CookieDigest;
use super::end::EndReason;
use super::renewal;
use super::session::{browser_idle_end, delta};
use crate::database::schema::{former_secrets, roles, sessions, signing_keys, users};
use crate::database::{now, transaction};
use crate::tokens::ended::Ended;
use crate::tokens::names::Names;
use crate::tokens::owner::{Owner, UserStatus, owner_columns};

/// The columns of an end, which are both NULL before it.
type EndColumns = (Option<DateTime<Utc>>, Option<EndReason>);

/// Longer than any grace period. The bound keeps additions to an [`Instant`] from overflowing.
const MOST_LEFT: Duration = Duration::from_secs(366 * 86_400);

/// Selects the former refresh tokens of a session whose successors were presented, in ascending order.
macro_rules! of_superseded {
    () => {
        " FROM former_secrets AS f WHERE f.session_id = sessions.id AND f.superseded_at IS NOT NULL \
            ORDER BY f.successor)"
    };
}

/// The reason why an authorized caller may no longer act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// The session was ended.
    SessionEnded(Ended<EndReason>),
    /// The session does not exist.
    SessionUnknown,
    /// The account was deleted.
    AccountDeleted,
    /// The account is disabled.
    AccountDisabled,
}

/// The outcome of a change for which the password was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifiedChange<T> {
    /// The change was made.
    Done(T),
    /// The user's password hash is no longer the one that was verified. Verify the password again.
    Outdated,
    /// The caller may no longer make the change.
    Invalidated(Invalidation),
}

/// The current state of a session and its user.
#[derive(Clone, Debug)]
pub struct SessionState {
    /// The session's end. `None` if the session was not ended.
    pub ended: Option<Ended<EndReason>>,
    /// The end of the session's lifetime.
    pub expires_at: DateTime<Utc>,
    /// The scope that the sign-in requested. `None` means all of the user's permissions.
    pub scope: Option<Names>,
    /// `None` if the account was deleted.
    pub user: Option<Owner>,
    /// The generations whose access tokens a step-up replaced, with the times from which they are refused.
    pub replaced: Box<[ReplacedTokens]>,
}

/// Access tokens of a session that a step-up has replaced, after the new ones arrived at the client.
#[derive(Clone, Copy, Debug)]
pub struct ReplacedTokens {
    /// The first generation that is not replaced.
    pub before: i32,
    /// The end of the grace period, by the database's clock.
    pub over_at: DateTime<Utc>,
    /// The end of the grace period, by this machine's monotonic clock.
    over_from: Instant,
}

impl SessionState {
    /// Returns the end of the grace period of a generation's access tokens. Returns `None` if the tokens were
    /// not replaced, or the grace period has not passed.
    #[must_use]
    pub fn replaced_at(&self, generation: i32) -> Option<DateTime<Utc>> {
        let now = Instant::now();
        let is_over = |replaced: &&ReplacedTokens| generation < replaced.before && replaced.over_from <= now;
        self.replaced.iter().find(is_over).map(|replaced| replaced.over_at)
    }
}

/// The state of a browser's session, found by its cookie.
#[derive(Clone, Debug)]
pub struct BrowserSessionState {
    pub id: Uuid,
    /// SHA-256 of the key of the cookie that was presented.
    pub cookie_digest: CookieDigest,
    /// The replacement of the presented cookie. `None` if the cookie is current.
    pub former: Option<FormerCookie>,
    /// The time of the last sign-in or step-up. For a replaced cookie, the last one before the replacement.
    pub auth_time: DateTime<Utc>,
    /// The time when the session expired, by the database's clock. `None` if it has not expired.
    pub expired_at: Option<DateTime<Utc>>,
    /// The time until the session expires, by the same clock.
    pub left: Duration,
    /// The state's `expires_at` is the earlier of the idle end and the end of the lifetime.
    pub state: SessionState,
}

/// A cookie that a step-up or a change of the password replaced.
#[derive(Clone, Copy, Debug)]
pub struct FormerCookie {
    pub replaced_at: DateTime<Utc>,
    /// True if the cookie is now refused.
    pub is_over: bool,
    /// The time until the cookie is refused. `None` if no later cookie was presented yet.
    pub left: Option<Duration>,
}

/// Returns the browser's session whose cookie has, or had, this digest. If `is_presented`, the grace period
/// of earlier cookies starts, once.
pub fn find_browser_state(
    connection: &mut PgConnection,
    cookie_digest: &CookieDigest,
    grace: Duration,
    is_presented: bool,
) -> QueryResult<Option<BrowserSessionState>> {
    let found = match find_by_cookie(connection, cookie_digest)? {
        Some(found) => Some(found),
        None => find_by_former_cookie(connection, cookie_digest, grace)?,
    };
    let Some((current, successor, awaits)) = found else { return Ok(None) };
    if awaits && is_presented && current.former.is_none_or(|former| !former.is_over) {
        let id = current.id;
        transaction(connection, |connection| {
            // The lock serialises requests that present the cookie at the same time.
            sessions::table.find(id).select(sessions::id).for_no_key_update().first::<Uuid>(connection)?;
            if renewal::supersede(connection, id, successor)? {
                renewal::publish(connection, id)?;
            }
            Ok(())
        })?;
    }
    Ok(Some(current))
}

type BrowserTimes = (DateTime<Utc>, DateTime<Utc>, Option<DateTime<Utc>>, DateTime<Utc>);
type BrowserRow = (Uuid, BrowserTimes, EndColumns, Option<Owner>);
/// A session, the number of a former cookie, and whether earlier cookies exist whose grace period has not
/// started.
type FoundBrowser = (BrowserSessionState, Option<i32>, bool);

/// The columns of a [`BrowserRow`].
macro_rules! browser_columns {
    () => {
        (
            sessions::id,
            (sessions::auth_time, sessions::expires_at, browser_idle_end(), now()),
            (sessions::ended_at, sessions::ended_reason),
            owner_columns!(),
        )
    };
}

fn find_by_cookie(connection: &mut PgConnection, digest: &CookieDigest) -> QueryResult<Option<FoundBrowser>> {
    let awaiting = former_secrets::table
        .filter(former_secrets::session_id.eq(sessions::id).and(former_secrets::superseded_at.is_null()));
    let row: Option<(BrowserRow, bool)> = sessions::table
        .left_join(users::table.inner_join(roles::table))
        .filter(sessions::cookie_digest.eq(digest.as_slice()))
        .select((browser_columns!(), exists(awaiting)))
        .first(connection)
        .optional()?;
    Ok(row.map(|(row, awaits)| (browser_session_state(row, digest, None), None, awaits)))
}

fn find_by_former_cookie(
    connection: &mut PgConnection,
    digest: &CookieDigest,
    grace: Duration,
) -> QueryResult<Option<FoundBrowser>> {
    let earlier = diesel::alias!(former_secrets as earlier);
    let awaiting = earlier
        .filter(earlier.field(former_secrets::session_id).eq(former_secrets::session_id))
        .filter(earlier.field(former_secrets::superseded_at).is_null())
        .filter(earlier.field(former_secrets::successor).lt(former_secrets::successor));
    type Former = (DateTime<Utc>, DateTime<Utc>, Option<DateTime<Utc>>, bool, i32);
    let row: Option<(BrowserRow, Former, bool)> = former_secrets::table
        .inner_join(sessions::table.left_join(users::table.inner_join(roles::table)))
        .filter(former_secrets::digest.eq(digest.as_slice()).and(former_secrets::generation.is_null()))
        .select((
            browser_columns!(),
            (
                former_secrets::auth_time,
                former_secrets::replaced_at,
                former_secrets::superseded_at,
                former_secrets::is_over,
                former_secrets::successor,
            ),
            exists(awaiting),
        ))
        .first(connection)
        .optional()?;
    Ok(row.map(|((id, times, ended, user), former, awaits)| {
        let (auth_time, replaced_at, superseded_at, is_over, successor) = former;
        let (_, ends, idle_ends, now) = times;
        let left = superseded_at.map(|at| (at + delta(grace) - now).to_std().unwrap_or_default());
        let is_over = is_over || left.is_some_and(|left| left.is_zero());
        let row = (id, (auth_time, ends, idle_ends, now), ended, user);
        let former = FormerCookie { replaced_at, is_over, left };
        (browser_session_state(row, digest, Some(former)), Some(successor), awaits)
    }))
}

fn browser_session_state(
    (id, (auth_time, ends, idle_ends, now), (at, why), user): BrowserRow,
    cookie_digest: &CookieDigest,
    former: Option<FormerCookie>,
) -> BrowserSessionState {
    let expires_at = idle_ends.map_or(ends, |idle_ends| ends.min(idle_ends));
    BrowserSessionState {
        id,
        cookie_digest: *cookie_digest,
        former,
        auth_time,
        expired_at: (expires_at <= now).then_some(expires_at),
        left: (expires_at - now).to_std().unwrap_or_default(),
        state: SessionState {
            ended: Ended::of_columns(at, why),
            expires_at,
            scope: None,
            user,
            replaced: Box::default(),
        },
    }
}

/// Returns the time when the access token's signing key was revoked and the session's state, in one round
/// trip.
pub fn find_state(
    connection: &mut PgConnection,
    id: Uuid,
    kid: &str,
    grace: Duration,
) -> QueryResult<(Option<DateTime<Utc>>, Option<SessionState>)> {
    type Superseded = (Vec<i32>, Vec<DateTime<Utc>>, DateTime<Utc>);
    type Row =
        (Option<DateTime<Utc>>, EndColumns, DateTime<Utc>, Option<Vec<String>>, Option<Owner>, Superseded);
    let key_revoked_at =
        signing_keys::table.filter(signing_keys::kid.eq(kid)).select(signing_keys::revoked_at).single_value();
    let row: Option<Row> = sessions::table
        .left_join(users::table.inner_join(roles::table))
        .filter(sessions::id.eq(id))
        .select((
            key_revoked_at,
            (sessions::ended_at, sessions::ended_reason),
            sessions::expires_at,
            sessions::scope,
            owner_columns!(),
            (
                sql::<Array<Integer>>(concat!("ARRAY(SELECT f.successor", of_superseded!())),
                sql::<Array<Timestamptz>>(concat!("ARRAY(SELECT f.superseded_at", of_superseded!())),
                now(),
            ),
        ))
        .first(connection)
        .optional()?;
    Ok(row.map_or((None, None), |(key_revoked_at, (at, why), expires_at, scope, user, superseded)| {
        let (successors, times, now) = superseded;
        let replaced = successors.into_iter().zip(times).map(|(before, at)| {
            let over_at = at + delta(grace);
            let left = (over_at - now).to_std().unwrap_or_default();
            ReplacedTokens { before, over_at, over_from: Instant::now() + left.min(MOST_LEFT) }
        });
        let (scope, replaced) = (scope.map(Names::from), replaced.collect());
        (
            key_revoked_at,
            Some(SessionState { ended: Ended::of_columns(at, why), expires_at, scope, user, replaced }),
        )
    }))
}

/// Checks again, in the caller's transaction, whether a user may still act in their session. Returns `None`
/// if they may. The user's row stays locked until the transaction ends, which serialises it with changes of
/// the password and deletions.
pub fn find_invalidation(
    connection: &mut PgConnection,
    user_id: Uuid,
    session_id: Option<Uuid>,
) -> QueryResult<Option<Invalidation>> {
    let status: Option<UserStatus> =
        users::table.find(user_id).select(users::status).for_no_key_update().first(connection).optional()?;
    let session = match session_id {
        Some(id) => find_end(connection, id)?,
        None => SessionEnd::Live,
    };
    Ok(match (session, status) {
        (SessionEnd::Ended(ended), _) => Some(Invalidation::SessionEnded(ended)),
        (_, None) => Some(Invalidation::AccountDeleted),
        (SessionEnd::Unknown, _) => Some(Invalidation::SessionUnknown),
        (SessionEnd::Live, Some(status)) => (!status.is_active()).then_some(Invalidation::AccountDisabled),
    })
}

/// Says whether a session was ended.
enum SessionEnd {
    Live,
    Ended(Ended<EndReason>),
    /// The session does not exist.
    Unknown,
}

fn find_end(connection: &mut PgConnection, id: Uuid) -> QueryResult<SessionEnd> {
    let end = sessions::table.find(id).select((sessions::ended_at, sessions::ended_reason));
    let found: Option<EndColumns> = end.first(connection).optional()?;
    let Some((at, reason)) = found else { return Ok(SessionEnd::Unknown) };
    Ok(Ended::of_columns(at, reason).map_or(SessionEnd::Live, SessionEnd::Ended))
}
