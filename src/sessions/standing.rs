//! How a session stands at this moment, with its user: what the guard asks for each request.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::{Array, Integer, Timestamptz};
use uuid::Uuid;

use super::renewal;
use super::session::{browser_idle_end, delta};
use crate::database::schema::{former_secrets, roles, sessions, signing_keys, users};
use crate::database::{now, transaction};
use crate::tokens::holder::{Holder, holder_columns};
use crate::tokens::names::Names;

type Ended = (Option<DateTime<Utc>>, Option<String>);

/// Longer than any grace: keeps what is added to an [`Instant`] within what it can tell.
const MOST_LEFT: Duration = Duration::from_secs(366 * 86_400);

/// The former refresh tokens of a session whose successors were presented, the earliest first.
macro_rules! of_superseded {
    () => {
        " FROM former_secrets AS f WHERE f.session_id = sessions.id AND f.superseded_at IS NOT NULL \
            ORDER BY f.successor)"
    };
}

/// Why a caller may no longer do what the guard let him in for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// His session was ended, then and for this reason.
    SessionEnded(DateTime<Utc>, String),
    /// His session stands nowhere.
    SessionUnknown,
    /// His account is no more.
    AccountDeleted,
    /// His account is disabled.
    AccountDisabled,
}

/// What became of a change for which the password was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified<T> {
    /// It is made.
    Done(T),
    /// The hash is no longer the one that was verified: verify again.
    Outdated,
    /// It may no longer be made.
    Lapsed(Lapse),
}

/// How a session stands at this moment, with its user: what the guard asks for each request.
#[derive(Clone, Debug)]
pub struct Standing {
    /// When and why it ended.
    pub ended: Option<(DateTime<Utc>, String)>,
    /// The end of its whole life.
    pub expires_at: DateTime<Utc>,
    /// What its sign-in asked for; `None`: whatever the user may.
    pub scope: Option<Names>,
    /// Its user; none: the account is deleted.
    pub user: Option<Holder>,
    /// Which of its access tokens are refused, and from when, because a step-up replaced them.
    pub replaced: Box<[Replaced]>,
}

/// Access tokens of a session that were issued before a step-up whose answer has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Replaced {
    /// The first generation after theirs.
    pub before: i32,
    /// The end of the grace.
    pub over_at: DateTime<Utc>,
    /// The same by this machine's monotonic time.
    over_from: Instant,
}

impl Standing {
    /// When the access tokens of this generation were replaced, if the grace after that is over.
    #[must_use]
    pub fn replaced_at(&self, generation: i32) -> Option<DateTime<Utc>> {
        let now = Instant::now();
        let is_over = |replaced: &&Replaced| generation < replaced.before && replaced.over_from <= now;
        self.replaced.iter().find(is_over).map(|replaced| replaced.over_at)
    }
}

/// A browser's session, found by its cookie.
#[derive(Clone, Debug)]
pub struct BrowserStanding {
    /// The session.
    pub id: Uuid,
    /// SHA-256 of the key of the cookie that it was found by.
    pub cookie_digest: [u8; 32],
    /// The replacement of that cookie, if it was replaced.
    pub former: Option<FormerCookie>,
    /// The last sign-in or step-up before the cookie was replaced, if it was.
    pub auth_time: DateTime<Utc>,
    /// When it expired, if it has; by the database's clock.
    pub expired_at: Option<DateTime<Utc>>,
    /// How long until then, by the same clock.
    pub left: Duration,
    /// How it stands; `expires_at` is the nearer of its two ends.
    pub standing: Standing,
}

/// A cookie that a step-up or a change of password replaced.
#[derive(Clone, Copy, Debug)]
pub struct FormerCookie {
    /// When.
    pub replaced_at: DateTime<Utc>,
    /// True if it is refused by now.
    pub is_over: bool,
    /// How long until then; `None`: no later cookie was presented yet.
    pub left: Option<Duration>,
}

/// Returns the browser's session whose cookie has, or had, this digest. If the cookie `is_presented`, the grace of those
/// before it starts, once.
///
/// # Errors
/// PostgreSQL's.
pub fn find_browser_standing(
    connection: &mut PgConnection,
    cookie_digest: &[u8; 32],
    grace: Duration,
    is_presented: bool,
) -> QueryResult<Option<BrowserStanding>> {
    let found = match find_by_cookie(connection, cookie_digest)? {
        Some(found) => Some(found),
        None => find_by_former_cookie(connection, cookie_digest, grace)?,
    };
    let Some((standing, successor, awaits)) = found else { return Ok(None) };
    if awaits && is_presented && standing.former.is_none_or(|former| !former.is_over) {
        let id = standing.id;
        transaction(connection, |connection| {
            // Those who present it at the same time take turns.
            sessions::table.find(id).select(sessions::id).for_no_key_update().first::<Uuid>(connection)?;
            if renewal::supersede(connection, id, successor)? {
                renewal::announce(connection, id)?;
            }
            Ok(())
        })?;
    }
    Ok(Some(standing))
}

type BrowserTimes = (DateTime<Utc>, DateTime<Utc>, Option<DateTime<Utc>>, DateTime<Utc>);
type BrowserRow = (Uuid, BrowserTimes, Ended, Option<Holder>);
/// With the number of a former cookie, and whether there are earlier ones whose grace has not started.
type FoundBrowser = (BrowserStanding, Option<i32>, bool);

/// The columns of a [`BrowserRow`].
macro_rules! browser_columns {
    () => {
        (
            sessions::id,
            (sessions::auth_time, sessions::expires_at, browser_idle_end(), now()),
            (sessions::ended_at, sessions::ended_reason),
            holder_columns!(),
        )
    };
}

fn find_by_cookie(connection: &mut PgConnection, digest: &[u8; 32]) -> QueryResult<Option<FoundBrowser>> {
    let awaiting = former_secrets::table
        .filter(former_secrets::session_id.eq(sessions::id).and(former_secrets::superseded_at.is_null()));
    let row: Option<(BrowserRow, bool)> = sessions::table
        .left_join(users::table.inner_join(roles::table))
        .filter(sessions::cookie_digest.eq(digest.as_slice()))
        .select((browser_columns!(), exists(awaiting)))
        .first(connection)
        .optional()?;
    Ok(row.map(|(row, awaits)| (browser_standing(row, digest, None), None, awaits)))
}

fn find_by_former_cookie(
    connection: &mut PgConnection,
    digest: &[u8; 32],
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
        (browser_standing(row, digest, Some(former)), Some(successor), awaits)
    }))
}

fn browser_standing(
    (id, (auth_time, ends, idle_ends, now), (at, why), user): BrowserRow,
    cookie_digest: &[u8; 32],
    former: Option<FormerCookie>,
) -> BrowserStanding {
    let expires_at = idle_ends.map_or(ends, |idle_ends| ends.min(idle_ends));
    BrowserStanding {
        id,
        cookie_digest: *cookie_digest,
        former,
        auth_time,
        expired_at: (expires_at <= now).then_some(expires_at),
        left: (expires_at - now).to_std().unwrap_or_default(),
        standing: Standing { ended: at.zip(why), expires_at, scope: None, user, replaced: Box::default() },
    }
}

/// A session's standing, and when the key that signed the access token was revoked: one round trip.
///
/// # Errors
/// PostgreSQL's.
pub fn find_standing(
    connection: &mut PgConnection,
    id: Uuid,
    kid: &str,
    grace: Duration,
) -> QueryResult<(Option<DateTime<Utc>>, Option<Standing>)> {
    type Superseded = (Vec<i32>, Vec<DateTime<Utc>>, DateTime<Utc>);
    type Row = (Option<DateTime<Utc>>, Ended, DateTime<Utc>, Option<Vec<String>>, Option<Holder>, Superseded);
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
            holder_columns!(),
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
            Replaced { before, over_at, over_from: Instant::now() + left.min(MOST_LEFT) }
        });
        let (scope, replaced) = (scope.map(Names::from), replaced.collect());
        (key_revoked_at, Some(Standing { ended: at.zip(why), expires_at, scope, user, replaced }))
    }))
}

/// Looks again, in the caller's transaction, whether a user may still act in his session; `None`: he may. His row is
/// locked until the transaction ends: a change of password and a deletion take turns with what is done in it.
///
/// # Errors
/// PostgreSQL's.
pub fn find_lapse(
    connection: &mut PgConnection,
    user_id: Uuid,
    session_id: Option<Uuid>,
) -> QueryResult<Option<Lapse>> {
    let status: Option<String> =
        users::table.find(user_id).select(users::status).for_no_key_update().first(connection).optional()?;
    let ended = session_id.map(|id| find_end(connection, id)).transpose()?;
    Ok(match (ended, status.as_deref()) {
        (Some(Some((Some(at), Some(reason)))), _) => Some(Lapse::SessionEnded(at, reason)),
        (_, None) => Some(Lapse::AccountDeleted),
        (Some(None), _) => Some(Lapse::SessionUnknown),
        (_, Some("active")) => None,
        (_, Some(_)) => Some(Lapse::AccountDisabled),
    })
}

fn find_end(connection: &mut PgConnection, id: Uuid) -> QueryResult<Option<Ended>> {
    let end = sessions::table.find(id).select((sessions::ended_at, sessions::ended_reason));
    end.first(connection).optional()
}
