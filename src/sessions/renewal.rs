//! Renewal: a session gets another secret when its sign-in becomes more recent or its password changes, so a copy of the
//! old one gains nothing. The old secret stays known: it is accepted until the grace after the first use of a later one
//! has passed, and explained or treated as a replay after that.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use uuid::Uuid;

use super::end::{EndReason, Which, end_sessions};
use super::session::{Limits, delta};
use crate::audit::event::Origin;
use crate::database::now;
use crate::database::schema::{former_secrets, refresh_tokens, sessions};
use crate::tokens::revocation::{self, Revoked};

/// The reason in the feed, in refusals and in a session's history.
pub const SESSION_RENEWED: &str = "session_renewed";
/// Generations that the old refresh tokens may still use after a step-up whose answer was lost, before they stay the same.
pub(super) const GENERATIONS_LEFT: i32 = 4_096;
/// The latest former secrets that a session keeps, besides the one that it may still need.
const KEPT: i64 = 32;

/// The new secret of a session: SHA-256, as the database holds it.
#[derive(Clone, Copy, Debug)]
pub enum NewSecret {
    /// Of a refresh token's random bytes.
    RefreshToken([u8; 32]),
    /// Of a cookie's key.
    Cookie([u8; 32]),
}

/// How long the secrets of before stay good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Until the grace has passed since a later one was first presented.
    Superseded,
    /// They are refused at once.
    Over,
}

/// A session's new secret.
#[derive(Clone, Copy, Debug)]
pub struct Renewed {
    /// The generation of the new refresh token; 1 for a cookie.
    pub generation: i32,
    /// The end of the session's idle life; of its whole life for a cookie.
    pub idle_ends: DateTime<Utc>,
    /// How the browser keeps the cookie.
    pub kept: Kept,
}

/// How a browser keeps a session's cookie.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Whether the sign-in asked to keep it after the browser is closed. `None`: a node of the version before, which does
    /// not note that, began the session.
    pub is_kept: Option<bool>,
    /// How long the session lives without being used.
    pub idle_ttl: Duration,
    /// How long it lives at most from now.
    pub left: Duration,
}

/// Replaces the secret of a session, in the caller's transaction, which writes the feed's row too. `None`: the session
/// has ended, maybe by this, or it holds another kind of secret.
///
/// # Errors
/// PostgreSQL's.
pub fn renew(
    connection: &mut PgConnection,
    id: Uuid,
    secret: &NewSecret,
    before: Before,
    limits: &Limits,
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
    digest: &[u8; 32],
    before: Before,
    limits: &Limits,
    origin: &Origin,
) -> QueryResult<Option<Renewed>> {
    type Row = (Vec<u8>, i32, Vec<DateTime<Utc>>);
    // Locked first, as rotation locks it first.
    let row: Option<Row> = refresh_tokens::table
        .find(id)
        .filter(refresh_tokens::ended_at.is_null())
        .select((refresh_tokens::secret_digest, refresh_tokens::generation, refresh_tokens::rotated_at))
        .for_no_key_update()
        .first(connection)
        .optional()?;
    let Some((old_digest, generation, rotated_at)) = row else { return Ok(None) };
    let Some(session) = lock_session(connection, id)? else { return Ok(None) };
    // Half a million renewals use the numbers up: another sign-in begins with 1.
    let Some(first) = generation.checked_add(GENERATIONS_LEFT) else {
        end_sessions(connection, &Which::These(vec![id]), EndReason::RenewalsUsedUp, origin)?;
        return Ok(None);
    };
    let chain = Some((generation, rotated_at));
    let former = Former { digest: old_digest, successor: first, chain };
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
    digest: &[u8; 32],
    before: Before,
) -> QueryResult<Option<Renewed>> {
    let Some(mut session) = lock_session(connection, id)? else { return Ok(None) };
    let Some(old_digest) = session.cookie_digest.take() else { return Ok(None) };
    let last: Option<i32> = former_secrets::table
        .filter(former_secrets::session_id.eq(id))
        .select(diesel::dsl::max(former_secrets::successor))
        .first(connection)?;
    let successor = last.unwrap_or(0).saturating_add(1);
    let former = Former { digest: old_digest, successor, chain: None };
    insert(connection, id, &session, former, before)?;
    diesel::update(sessions::table.find(id))
        .set(sessions::cookie_digest.eq(digest.as_slice()))
        .execute(connection)?;
    Ok(Some(Renewed { generation: 1, idle_ends: session.ends, kept: session.kept() }))
}

/// A session that has not ended.
#[derive(Queryable)]
struct Locked {
    auth_time: DateTime<Utc>,
    ends: DateTime<Utc>,
    cookie_digest: Option<Vec<u8>>,
    is_kept: Option<bool>,
    idle_seconds: Option<i32>,
    now: DateTime<Utc>,
}

impl Locked {
    fn kept(&self) -> Kept {
        let idle_seconds = self.idle_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Kept {
            is_kept: self.is_kept,
            idle_ttl: Duration::from_secs(idle_seconds.unwrap_or(0)),
            left: (self.ends - self.now).to_std().unwrap_or_default(),
        }
    }
}

fn lock_session(connection: &mut PgConnection, id: Uuid) -> QueryResult<Option<Locked>> {
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
struct Former {
    digest: Vec<u8>,
    successor: i32,
    /// Of refresh tokens: the live generation, and when the last ones were rotated.
    chain: Option<(i32, Vec<DateTime<Utc>>)>,
}

fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    session: &Locked,
    former: Former,
    before: Before,
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
    if before == Before::Over {
        diesel::update(former_secrets::table.filter(former_secrets::session_id.eq(id)))
            .set(former_secrets::is_over.eq(true))
            .execute(connection)?;
        supersede(connection, id, None)?;
    }
    Ok(())
}

/// Keeps the latest ones, and the oldest that is not superseded: after many lost answers the client still holds it.
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

/// Starts the grace of a session's former secrets, since a later one was presented: with a number, of those that were
/// replaced before the former secret of this number. Returns whether there were any whose grace had not started.
///
/// # Errors
/// PostgreSQL's.
pub fn supersede(connection: &mut PgConnection, id: Uuid, before: Option<i32>) -> QueryResult<bool> {
    let superseded = diesel::update(former_secrets::table)
        .filter(former_secrets::session_id.eq(id).and(former_secrets::superseded_at.is_null()))
        .filter(former_secrets::successor.lt(before.unwrap_or(i32::MAX)))
        .set(former_secrets::superseded_at.eq(now().nullable()))
        .execute(connection)?;
    Ok(superseded > 0)
}

/// Tells the nodes that what they remember of a session's secrets is no longer true.
///
/// # Errors
/// PostgreSQL's.
pub fn announce(connection: &mut PgConnection, id: Uuid) -> QueryResult<()> {
    revocation::insert_change(connection, &Revoked::SessionChanged(id), SESSION_RENEWED)
}
