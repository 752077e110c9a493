//! Replaces the secret of a session after a step-up or a change of the password, so that a copy of the old
//! secret gains nothing. The old secret is accepted until the grace period after the first use of a later one
//! has passed. After that it is refused with an explanation or treated as a replay.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use uuid::Uuid;

use super::cookie_digest::CookieDigest;
use super::end::{EndReason, SessionSelection, end_sessions};
use super::session::{SessionLimits, delta};
use crate::audit::event::Origin;
use crate::database::now;
use crate::database::schema::{former_secrets, refresh_tokens, sessions};
use crate::digest::Digest;
use crate::tokens::revocation::{self, Revocation};

/// The reason as it appears in the feed, in refusals and in a session's history.
pub(crate) const SESSION_RENEWED: &str = "session_renewed";
/// The number of generations reserved for the old refresh tokens, in case the response to a step-up is lost.
/// Once they are used up, the old chain stays at its last generation.
pub(super) const GENERATIONS_LEFT: i32 = 4_096;
/// The number of latest former secrets that a session keeps. The oldest one that is not superseded is kept as
/// well.
const KEPT: i64 = 32;

/// The new secret of a session, as the SHA-256 that the database stores.
#[derive(Clone, Copy, Debug)]
pub enum NewSecret {
    /// The digest of a refresh token's random bytes.
    RefreshToken(Digest),
    /// The digest of a cookie's key.
    Cookie(CookieDigest),
}

/// The fate of the session's earlier secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormerSecrets {
    /// They are accepted until the grace period after the first use of a later secret has passed.
    Superseded,
    /// They are refused at once.
    Over,
}

/// A session whose secret was replaced.
#[derive(Clone, Copy, Debug)]
pub struct Renewed {
    /// The generation of the new refresh token; 1 for a cookie.
    pub generation: i32,
    /// The end of the refresh token's idle lifetime. For a cookie, the end of the session.
    pub idle_ends: DateTime<Utc>,
    pub kept: CookieLifetime,
}

/// The lifetime of a session's cookie in the browser.
#[derive(Clone, Copy, Debug)]
pub struct CookieLifetime {
    /// Says if the sign-in asked to keep the cookie after the browser is closed. `None` if a node of the
    /// previous version, which does not record that, started the session.
    pub is_kept: Option<bool>,
    /// The session expires if it is not used for this long.
    pub idle_ttl: Duration,
    /// The time until the session expires at the latest.
    pub left: Duration,
}

/// Replaces the secret of a session, in the caller's transaction. The caller must publish the change in the
/// feed. Returns `None` if the session has ended, possibly by this call, or if it holds another kind of
/// secret.
pub(crate) fn renew(
    connection: &mut PgConnection,
    id: Uuid,
    secret: &NewSecret,
    before: FormerSecrets,
    limits: &SessionLimits,
    origin: &Origin,
) -> QueryResult<Option<Renewed>> {
    let renewed = match secret {
        NewSecret::RefreshToken(digest) => {
            renew_refresh_token(connection, id, digest, before, limits, origin)?
        }
        NewSecret::Cookie(digest) => renew_cookie(connection, id, digest, before)?,
    };
    if renewed.is_some() {
        delete_oldest(connection, id)?;
    }
    Ok(renewed)
}

fn renew_refresh_token(
    connection: &mut PgConnection,
    id: Uuid,
    digest: &Digest,
    before: FormerSecrets,
    limits: &SessionLimits,
    origin: &Origin,
) -> QueryResult<Option<Renewed>> {
    type Row = (Vec<u8>, i32, Vec<DateTime<Utc>>);
    // Lock this row first, as rotation does.
    let row: Option<Row> = refresh_tokens::table
        .find(id)
        .filter(refresh_tokens::ended_at.is_null())
        .select((refresh_tokens::secret_digest, refresh_tokens::generation, refresh_tokens::rotated_at))
        .for_no_key_update()
        .first(connection)
        .optional()?;
    let Some((old_digest, generation, rotated_at)) = row else { return Ok(None) };
    let Some(session) = lock_session(connection, id)? else { return Ok(None) };
    // About half a million renewals use up the generation numbers. A new sign-in starts at 1 again.
    let Some(first) = generation.checked_add(GENERATIONS_LEFT) else {
        end_sessions(connection, &SessionSelection::These(vec![id]), EndReason::RenewalsUsedUp, origin)?;
        return Ok(None);
    };
    let chain = Some((generation, rotated_at));
    let former = ReplacedSecret { digest: old_digest, successor: first, chain };
    insert(connection, id, &session, former, before)?;
    let idle_ends = session.ends.min(session.now + delta(limits.refresh_ttl));
    diesel::update(refresh_tokens::table.find(id))
        .set((
            refresh_tokens::secret_digest.eq(digest.as_slice()),
            refresh_tokens::generation.eq(first),
            refresh_tokens::first_generation.eq(first),
            refresh_tokens::renewals.eq(refresh_tokens::renewals + 1),
            refresh_tokens::rotated_at.eq(Vec::<DateTime<Utc>>::new()),
            refresh_tokens::expires_at.eq(idle_ends),
        ))
        .execute(connection)?;
    Ok(Some(Renewed { generation: first, idle_ends, kept: session.kept() }))
}

fn renew_cookie(
    connection: &mut PgConnection,
    id: Uuid,
    digest: &CookieDigest,
    before: FormerSecrets,
) -> QueryResult<Option<Renewed>> {
    let Some(mut session) = lock_session(connection, id)? else { return Ok(None) };
    let Some(old_digest) = session.cookie_digest.take() else { return Ok(None) };
    let last: Option<i32> = former_secrets::table
        .filter(former_secrets::session_id.eq(id))
        .select(diesel::dsl::max(former_secrets::successor))
        .first(connection)?;
    let successor = last.unwrap_or(0).saturating_add(1);
    let former = ReplacedSecret { digest: old_digest, successor, chain: None };
    insert(connection, id, &session, former, before)?;
    diesel::update(sessions::table.find(id))
        .set(sessions::cookie_digest.eq(digest.as_slice()))
        .execute(connection)?;
    Ok(Some(Renewed { generation: 1, idle_ends: session.ends, kept: session.kept() }))
}

/// A session that has not ended, with its row locked.
#[derive(Queryable)]
struct LockedSession {
    auth_time: DateTime<Utc>,
    ends: DateTime<Utc>,
    cookie_digest: Option<Vec<u8>>,
    is_kept: Option<bool>,
    idle_seconds: Option<i32>,
    now: DateTime<Utc>,
}

impl LockedSession {
    fn kept(&self) -> CookieLifetime {
        let idle_seconds = self.idle_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        CookieLifetime {
            is_kept: self.is_kept,
            idle_ttl: Duration::from_secs(idle_seconds.unwrap_or(0)),
            left: (self.ends - self.now).to_std().unwrap_or_default(),
        }
    }
}

fn lock_session(connection: &mut PgConnection, id: Uuid) -> QueryResult<Option<LockedSession>> {
    sessions::table
        .find(id)
        .filter(sessions::ended_at.is_null())
        .select((
            sessions::auth_time,
            sessions::expires_at,
            sessions::cookie_digest,
            sessions::is_kept,
            sessions::idle_seconds,
            now(),
        ))
        .for_no_key_update()
        .first(connection)
        .optional()
}

/// A secret that was replaced.
struct ReplacedSecret {
    digest: Vec<u8>,
    successor: i32,
    /// For refresh tokens, the current generation and the times of the latest rotations.
    chain: Option<(i32, Vec<DateTime<Utc>>)>,
}

fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    session: &LockedSession,
    former: ReplacedSecret,
    before: FormerSecrets,
) -> QueryResult<()> {
    let (generation, rotated_at) = former.chain.unzip();
    diesel::insert_into(former_secrets::table)
        .values((
            former_secrets::digest.eq(former.digest),
            former_secrets::session_id.eq(id),
            former_secrets::successor.eq(former.successor),
            former_secrets::auth_time.eq(session.auth_time),
            former_secrets::replaced_at.eq(now()),
            former_secrets::generation.eq(generation),
            former_secrets::rotated_at.eq(rotated_at.unwrap_or_default()),
        ))
        .execute(connection)?;
    if before == FormerSecrets::Over {
        diesel::update(former_secrets::table.filter(former_secrets::session_id.eq(id)))
            .set(former_secrets::is_over.eq(true))
            .execute(connection)?;
        supersede(connection, id, None)?;
    }
    Ok(())
}

/// Deletes former secrets except the latest ones and the oldest one that is not superseded. A client that
/// lost many responses still holds that one.
fn delete_oldest(connection: &mut PgConnection, id: Uuid) -> QueryResult<()> {
    diesel::sql_query(
        "DELETE FROM former_secrets WHERE session_id = $1
            AND digest NOT IN (SELECT digest FROM former_secrets WHERE session_id = $1
                ORDER BY successor DESC LIMIT $2)
            AND digest NOT IN (SELECT digest FROM former_secrets WHERE session_id = $1 AND superseded_at IS NULL
                ORDER BY successor LIMIT 1)",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<BigInt, _>(KEPT)
    .execute(connection)
    .map(|_| ())
}

/// Starts the grace period of a session's former secrets, because a later one was presented. With a number,
/// only the secrets replaced before the former secret of this number are affected. Returns whether any grace
/// period started.
pub(crate) fn supersede(connection: &mut PgConnection, id: Uuid, before: Option<i32>) -> QueryResult<bool> {
    let superseded = diesel::update(former_secrets::table)
        .filter(former_secrets::session_id.eq(id).and(former_secrets::superseded_at.is_null()))
        .filter(former_secrets::successor.lt(before.unwrap_or(i32::MAX)))
        .set(former_secrets::superseded_at.eq(now().nullable()))
        .execute(connection)?;
    Ok(superseded > 0)
}

/// Publishes in the feed that the session's secrets have changed, so that the nodes drop the session from
/// their caches.
pub(crate) fn publish(connection: &mut PgConnection, id: Uuid) -> QueryResult<()> {
    revocation::insert_change(connection, &Revocation::SessionChanged(id), SESSION_RENEWED)
}
