//! Setting a password: by its owner, by an admin, or by a one-time link.

use aws_lc_rs::digest::{SHA256, digest as sha256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::password::PasswordHash;
use super::user::{self, Authority, User};
use crate::audit::event::{self, EventType, Origin, Subject};
use crate::database::now;
use crate::database::schema::{password_links, users};
use crate::random;
use crate::sessions::{EndReason, Which, end_sessions};

/// How long a link is good.
pub const LINK_TTL: TimeDelta = TimeDelta::hours(24);

/// The secret part of a link. Never prints.
pub struct LinkToken(String);

impl LinkToken {
    /// A new one, and the digest to store.
    #[must_use]
    pub fn mint() -> (Self, [u8; 32]) {
        let text = URL_SAFE_NO_PAD.encode(random::bytes::<32>());
        let digest = Self::digest(&text);
        (Self(text), digest)
    }

    /// The digest of what somebody presents.
    #[must_use]
    pub fn digest(text: &str) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(sha256(&SHA256, text.as_bytes()).as_ref());
        digest
    }

    /// The text, for the one answer that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What became of a password that was to be set.
#[derive(Debug)]
pub enum Setting {
    /// It is set.
    Done(User),
    /// There is no such user, or no such link.
    NotFound,
    /// Who asks lacks these permissions, which the account has.
    Denied(Vec<String>),
}

/// Replaces the password that was verified; every other session ends. `None`: it is no longer that one, or the
/// account is disabled: verify again.
///
/// # Errors
/// PostgreSQL's.
pub fn change_own(
    connection: &mut PgConnection,
    id: Uuid,
    verified_hash: &str,
    new_hash: &PasswordHash,
    kept_session: Option<Uuid>,
    origin: &Origin,
) -> QueryResult<Option<User>> {
    let changed: Option<User> = diesel::update(users::table.find(id))
        .filter(users::password_hash.eq(verified_hash).and(users::status.eq(user::ACTIVE)))
        .set((users::password_hash.eq(new_hash.expose()), users::updated_at.eq(now())))
        .returning(User::as_returning())
        .get_result(connection)
        .optional()?;
    let Some(user) = changed else { return Ok(None) };
    let others = kept_session.map_or(Which::AllOf(id), |kept| Which::OthersOf(id, kept));
    let ended = end_sessions(connection, &others, EndReason::PasswordChanged, origin)?;
    consume_links(connection, id)?;
    note(connection, &user, ended.len(), origin)?;
    Ok(Some(user))
}

/// Sets a password without knowing the old one; every session ends.
///
/// # Errors
/// PostgreSQL's.
pub fn reset(
    connection: &mut PgConnection,
    id: Uuid,
    new_hash: &PasswordHash,
    authority: &Authority,
    origin: &Origin,
) -> QueryResult<Setting> {
    let user = match find_permitted(connection, id, authority)? {
        Ok(user) => user,
        Err(refused) => return Ok(refused),
    };
    write(connection, &user, new_hash, origin)?;
    Ok(Setting::Done(user))
}

/// Stores a link's digest. The old password and earlier links are gone at once, and every session ends.
///
/// # Errors
/// PostgreSQL's.
pub fn insert_link(
    connection: &mut PgConnection,
    id: Uuid,
    digest: &[u8; 32],
    authority: &Authority,
    origin: &Origin,
) -> QueryResult<Result<DateTime<Utc>, Setting>> {
    let user = match find_permitted(connection, id, authority)? {
        Ok(user) => user,
        Err(refused) => return Ok(Err(refused)),
    };
    // Before the sessions end: a sign-in with the old password that waits for the row finds it gone.
    diesel::update(users::table.find(id))
        .set((users::password_hash.eq(None::<String>), users::updated_at.eq(now())))
        .execute(connection)?;
    consume_links(connection, id)?;
    let expires_at = insert_link_row(connection, id, digest)?;
    end_sessions(connection, &Which::AllOf(id), EndReason::PasswordReset, origin)?;
    let subject = Subject { id: Some(id), name: Some(&user.username) };
    event::insert(
        connection,
        origin,
        EventType::PasswordLinkCreated,
        subject,
        &json!({ "expires_at": expires_at }),
    )?;
    Ok(Ok(expires_at))
}

/// Gives when it expires.
fn insert_link_row(connection: &mut PgConnection, id: Uuid, digest: &[u8; 32]) -> QueryResult<DateTime<Utc>> {
    let moment: DateTime<Utc> = diesel::select(now()).get_result(connection)?;
    let expires_at = moment + LINK_TTL;
    diesel::insert_into(password_links::table)
        .values((
            password_links::digest.eq(digest.as_slice()),
            password_links::user_id.eq(id),
            password_links::created_at.eq(moment),
            password_links::expires_at.eq(expires_at),
        ))
        .execute(connection)?;
    Ok(expires_at)
}

/// The user whose password a link may set; `None` when it is spent, expired or was never made.
///
/// # Errors
/// PostgreSQL's.
pub fn find_by_link(connection: &mut PgConnection, digest: &[u8; 32]) -> QueryResult<Option<User>> {
    password_links::table
        .inner_join(users::table)
        .filter(password_links::digest.eq(digest.as_slice()))
        .filter(password_links::consumed_at.is_null().and(password_links::expires_at.gt(now())))
        .select(User::as_select())
        .first(connection)
        .optional()
}

/// Sets a password by a link, which is spent by it.
///
/// # Errors
/// PostgreSQL's.
pub fn consume_link(
    connection: &mut PgConnection,
    digest: &[u8; 32],
    new_hash: &PasswordHash,
    origin: &Origin,
) -> QueryResult<Setting> {
    let of_link = password_links::table
        .filter(password_links::digest.eq(digest.as_slice()))
        .select(password_links::user_id);
    // The user's row first, as whatever else sets a password locks it first.
    let user: Option<User> = users::table
        .filter(users::id.eq_any(of_link))
        .select(User::as_select())
        .for_no_key_update()
        .first(connection)
        .optional()?;
    let Some(user) = user else { return Ok(Setting::NotFound) };
    let spent = diesel::update(password_links::table)
        .filter(password_links::digest.eq(digest.as_slice()))
        .filter(password_links::consumed_at.is_null().and(password_links::expires_at.gt(now())))
        .set(password_links::consumed_at.eq(now().nullable()))
        .execute(connection)?;
    if spent == 0 {
        return Ok(Setting::NotFound);
    }
    write(connection, &user, new_hash, &origin.of(user.id, &user.username))?;
    Ok(Setting::Done(user))
}

fn find_permitted(
    connection: &mut PgConnection,
    id: Uuid,
    authority: &Authority,
) -> QueryResult<Result<User, Setting>> {
    let Some((user, permissions)) = user::lock(connection, id)? else { return Ok(Err(Setting::NotFound)) };
    let lacking = authority.lacks(&permissions);
    Ok(if lacking.is_empty() { Ok(user) } else { Err(Setting::Denied(lacking)) })
}

fn write(
    connection: &mut PgConnection,
    user: &User,
    hash: &PasswordHash,
    origin: &Origin,
) -> QueryResult<()> {
    diesel::update(users::table.find(user.id))
        .set((users::password_hash.eq(hash.expose()), users::updated_at.eq(now())))
        .execute(connection)?;
    consume_links(connection, user.id)?;
    let ended = end_sessions(connection, &Which::AllOf(user.id), EndReason::PasswordReset, origin)?;
    note(connection, user, ended.len(), origin)
}

fn consume_links(connection: &mut PgConnection, user_id: Uuid) -> QueryResult<()> {
    diesel::update(password_links::table)
        .filter(password_links::user_id.eq(user_id).and(password_links::consumed_at.is_null()))
        .set(password_links::consumed_at.eq(now().nullable()))
        .execute(connection)?;
    Ok(())
}

/// Spends every link that could be used; with a time, those made by then. Gives how many.
///
/// # Errors
/// PostgreSQL's.
pub fn consume_every_link(connection: &mut PgConnection, by: Option<DateTime<Utc>>) -> QueryResult<usize> {
    let digests = find_open_links(connection, by)?;
    diesel::update(password_links::table)
        .filter(password_links::digest.eq_any(&digests).and(password_links::consumed_at.is_null()))
        .set(password_links::consumed_at.eq(now().nullable()))
        .execute(connection)
}

/// The digests of the links that could be used; with a time, of those made by then.
///
/// # Errors
/// PostgreSQL's.
pub fn find_open_links(
    connection: &mut PgConnection,
    by: Option<DateTime<Utc>>,
) -> QueryResult<Vec<Vec<u8>>> {
    let mut query = password_links::table
        .filter(password_links::consumed_at.is_null().and(password_links::expires_at.gt(now())))
        .select(password_links::digest)
        .into_boxed();
    if let Some(by) = by {
        query = query.filter(password_links::created_at.le(by));
    }
    query.load(connection)
}

fn note(connection: &mut PgConnection, user: &User, ended: usize, origin: &Origin) -> QueryResult<()> {
    let subject = Subject { id: Some(user.id), name: Some(&user.username) };
    event::insert(
        connection,
        origin,
        EventType::PasswordChanged,
        subject,
        &json!({ "sessions_ended": ended }),
    )
}
