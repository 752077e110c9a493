//! Sets a user's password, as requested by the user, by an administrator, or through a one-time link. Also
//! creates the links.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::password::PasswordHash;
use super::user::{self, Authority, User};
use crate::audit::{EventDetails, Origin, Subject, event};
use crate::database::now;
use crate::database::schema::{password_links, users};
use crate::digest::Digest;
use crate::random;
use crate::sessions::{EndReason, SessionSelection, end_sessions};
use crate::tokens::owner::UserStatus;
use crate::tokens::personal_token::{self, RevokeReason};

/// Lifetime of a link.
pub(crate) const LINK_TTL: TimeDelta = TimeDelta::hours(24);

/// The length of 32 bytes in base64url.
const TOKEN_LEN: usize = 43;

/// The secret part of a link. `Debug` is not implemented.
pub(crate) struct LinkToken(String);

impl LinkToken {
    /// Generates a token. Returns it with the digest to store.
    #[must_use]
    pub(crate) fn mint() -> (Self, Digest) {
        let text = URL_SAFE_NO_PAD.encode(random::bytes::<32>());
        let digest = Self::digest(&text);
        (Self(text), digest)
    }

    /// Returns the digest of a token that someone presents. A full stop or bracket after the token is
    /// ignored, because mail programs count it as part of the link.
    #[must_use]
    pub(crate) fn digest(text: &str) -> Digest {
        let is_behind = |end: &str| !end.contains(char::is_alphanumeric);
        let text = match text.split_at_checked(TOKEN_LEN) {
            Some((token, end)) if is_behind(end) => token,
            _ => text,
        };
        Digest::of(text)
    }

    /// Returns the text, for the one response that contains it.
    #[must_use]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// The credentials that a reset ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndedCredentials {
    /// The number of sessions.
    pub sessions: usize,
    /// The number of personal tokens. `None` if they were kept.
    pub tokens: Option<usize>,
}

/// A link that was created.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewPasswordLink {
    pub expires_at: DateTime<Utc>,
    /// The credentials that ended with the old password.
    pub ended: EndedCredentials,
}

/// The outcome of setting a password, or of creating a link to set one.
#[derive(Debug)]
pub(crate) enum SetPasswordOutcome<T> {
    /// The password was set, or the link was created.
    Done(T),
    /// The user or the link does not exist.
    NotFound,
    /// The caller lacks these permissions, which the account has.
    Denied(Vec<String>),
}

/// Replaces the password that was verified, and ends every other session. Returns `None` if the user now has
/// another password, or if the account is disabled. The caller must then verify again.
pub(crate) fn change_own(
    connection: &mut PgConnection,
    id: Uuid,
    verified_hash: &str,
    new_hash: &PasswordHash,
    kept_session: Option<Uuid>,
    origin: &Origin,
) -> QueryResult<Option<User>> {
    let changed: Option<User> = diesel::update(users::table.find(id))
        .filter(users::password_hash.eq(verified_hash).and(users::status.eq(UserStatus::Active)))
        .set((users::password_hash.eq(new_hash.expose()), users::updated_at.eq(now())))
        .returning(User::as_returning())
        .get_result(connection)
        .optional()?;
    let Some(user) = changed else { return Ok(None) };
    let others =
        kept_session.map_or(SessionSelection::AllOf(id), |kept| SessionSelection::OthersOf(id, kept));
    let ended = end_sessions(connection, &others, EndReason::PasswordChanged, origin)?;
    consume_links(connection, id)?;
    note(connection, &user, EndedCredentials { sessions: ended.len(), tokens: None }, origin)?;
    Ok(Some(user))
}

/// Sets a password without the old one. Ends every session and, if `revokes_tokens`, revokes every personal
/// token.
pub(crate) fn reset(
    connection: &mut PgConnection,
    id: Uuid,
    new_hash: &PasswordHash,
    revokes_tokens: bool,
    authority: &Authority,
    origin: &Origin,
) -> QueryResult<SetPasswordOutcome<(User, EndedCredentials)>> {
    let user = match find_permitted(connection, id, authority)? {
        SetPasswordOutcome::Done(user) => user,
        SetPasswordOutcome::NotFound => return Ok(SetPasswordOutcome::NotFound),
        SetPasswordOutcome::Denied(lacking) => return Ok(SetPasswordOutcome::Denied(lacking)),
    };
    let ended = write(connection, &user, new_hash, revokes_tokens, origin)?;
    Ok(SetPasswordOutcome::Done((user, ended)))
}

/// Stores a link's digest. The old password and earlier links stop working at once. Ends every session and,
/// if `revokes_tokens`, revokes every personal token.
pub(crate) fn insert_link(
    connection: &mut PgConnection,
    id: Uuid,
    digest: &Digest,
    revokes_tokens: bool,
    authority: &Authority,
    origin: &Origin,
) -> QueryResult<SetPasswordOutcome<NewPasswordLink>> {
    let user = match find_permitted(connection, id, authority)? {
        SetPasswordOutcome::Done(user) => user,
        SetPasswordOutcome::NotFound => return Ok(SetPasswordOutcome::NotFound),
        SetPasswordOutcome::Denied(lacking) => return Ok(SetPasswordOutcome::Denied(lacking)),
    };
    // Remove the password before the sessions end. A sign-in that waits for the row then finds it gone.
    diesel::update(users::table.find(id))
        .set((users::password_hash.eq(None::<String>), users::updated_at.eq(now())))
        .execute(connection)?;
    consume_links(connection, id)?;
    let expires_at = insert_link_row(connection, id, digest, revokes_tokens)?;
    let ended = end_credentials(connection, id, revokes_tokens, origin)?;
    let subject = Subject { id: Some(id), name: Some(&user.username) };
    let EndedCredentials { sessions: sessions_ended, tokens: tokens_revoked } = ended;
    let details = EventDetails::PasswordLinkCreated { expires_at, sessions_ended, tokens_revoked };
    event::insert(connection, origin, subject, &details)?;
    Ok(SetPasswordOutcome::Done(NewPasswordLink { expires_at, ended }))
}

/// Ends a user's sessions, and revokes their personal tokens if `revokes_tokens`.
fn end_credentials(
    connection: &mut PgConnection,
    id: Uuid,
    revokes_tokens: bool,
    origin: &Origin,
) -> QueryResult<EndedCredentials> {
    let sessions =
        end_sessions(connection, &SessionSelection::AllOf(id), EndReason::PasswordReset, origin)?.len();
    let mut ended = EndedCredentials { sessions, tokens: None };
    if revokes_tokens {
        let all = personal_token::TokenSelection::AllOf(id);
        let revoked = personal_token::revoke(connection, all, RevokeReason::PasswordReset, origin)?;
        ended.tokens = Some(revoked.len());
    }
    Ok(ended)
}

/// Inserts a link and returns its expiry.
fn insert_link_row(
    connection: &mut PgConnection,
    id: Uuid,
    digest: &Digest,
    revokes_tokens: bool,
) -> QueryResult<DateTime<Utc>> {
    let moment: DateTime<Utc> = diesel::select(now()).get_result(connection)?;
    let expires_at = moment + LINK_TTL;
    diesel::insert_into(password_links::table)
        .values((
            password_links::digest.eq(digest.as_slice()),
            password_links::user_id.eq(id),
            password_links::created_at.eq(moment),
            password_links::expires_at.eq(expires_at),
            password_links::revokes_tokens.eq(revokes_tokens),
        ))
        .execute(connection)?;
    Ok(expires_at)
}

/// Returns the user whose password a link may set. Returns `None` if the link is used or expired, or does not
/// exist.
pub(crate) fn find_by_link(connection: &mut PgConnection, digest: &Digest) -> QueryResult<Option<User>> {
    password_links::table
        .inner_join(users::table)
        .filter(password_links::digest.eq(digest.as_slice()))
        .filter(password_links::consumed_at.is_null().and(password_links::expires_at.gt(now())))
        .select(User::as_select())
        .first(connection)
        .optional()
}

/// Sets a password by a link, which is then used up. Revokes the personal tokens if the link says so.
pub(crate) fn consume_link(
    connection: &mut PgConnection,
    digest: &Digest,
    new_hash: &PasswordHash,
    origin: &Origin,
) -> QueryResult<SetPasswordOutcome<(User, EndedCredentials)>> {
    let of_link = password_links::table
        .filter(password_links::digest.eq(digest.as_slice()))
        .select(password_links::user_id);
    // Lock the user's row first, as all code that sets a password does.
    let user: Option<User> = users::table
        .filter(users::id.eq_any(of_link))
        .select(User::as_select())
        .for_no_key_update()
        .first(connection)
        .optional()?;
    let Some(user) = user else { return Ok(SetPasswordOutcome::NotFound) };
    let consumed: Option<bool> = diesel::update(password_links::table)
        .filter(password_links::digest.eq(digest.as_slice()))
        .filter(password_links::consumed_at.is_null().and(password_links::expires_at.gt(now())))
        .set(password_links::consumed_at.eq(now().nullable()))
        .returning(password_links::revokes_tokens)
        .get_result(connection)
        .optional()?;
    let Some(revokes_tokens) = consumed else { return Ok(SetPasswordOutcome::NotFound) };
    let ended = write(connection, &user, new_hash, revokes_tokens, &origin.of(user.id, &user.username))?;
    Ok(SetPasswordOutcome::Done((user, ended)))
}

fn find_permitted(
    connection: &mut PgConnection,
    id: Uuid,
    authority: &Authority,
) -> QueryResult<SetPasswordOutcome<User>> {
    let Some((user, permissions)) = user::lock(connection, id)? else {
        return Ok(SetPasswordOutcome::NotFound);
    };
    let lacking = authority.lacks(&permissions);
    Ok(if lacking.is_empty() { SetPasswordOutcome::Done(user) } else { SetPasswordOutcome::Denied(lacking) })
}

fn write(
    connection: &mut PgConnection,
    user: &User,
    hash: &PasswordHash,
    revokes_tokens: bool,
    origin: &Origin,
) -> QueryResult<EndedCredentials> {
    diesel::update(users::table.find(user.id))
        .set((users::password_hash.eq(hash.expose()), users::updated_at.eq(now())))
        .execute(connection)?;
    consume_links(connection, user.id)?;
    let ended = end_credentials(connection, user.id, revokes_tokens, origin)?;
    note(connection, user, ended, origin)?;
    Ok(ended)
}

/// Invalidates a user's open links.
pub(super) fn consume_links(connection: &mut PgConnection, user_id: Uuid) -> QueryResult<()> {
    diesel::update(password_links::table)
        .filter(password_links::user_id.eq(user_id).and(password_links::consumed_at.is_null()))
        .set(password_links::consumed_at.eq(now().nullable()))
        .execute(connection)?;
    Ok(())
}

/// Invalidates all open links. With a time, only those created by then. Returns their number.
pub(crate) fn consume_every_link(
    connection: &mut PgConnection,
    by: Option<DateTime<Utc>>,
) -> QueryResult<usize> {
    let digests = find_open_links(connection, by)?;
    diesel::update(password_links::table)
        .filter(password_links::digest.eq_any(&digests).and(password_links::consumed_at.is_null()))
        .set(password_links::consumed_at.eq(now().nullable()))
        .execute(connection)
}

/// Returns the digests of the open links. With a time, only of those created by then.
pub(crate) fn find_open_links(
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

fn note(
    connection: &mut PgConnection,
    user: &User,
    ended: EndedCredentials,
    origin: &Origin,
) -> QueryResult<()> {
    let subject = Subject { id: Some(user.id), name: Some(&user.username) };
    let EndedCredentials { sessions: sessions_ended, tokens: tokens_revoked } = ended;
    let details = EventDetails::PasswordChanged { sessions_ended, tokens_revoked };
    event::insert(connection, origin, subject, &details)
}
