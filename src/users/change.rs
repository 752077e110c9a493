//! Changes an account's names, role and status, and deletes accounts. The caller needs authority over the
//! account.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::name::{EmailAddress, NameError, Username};
use super::role::{self, ADMIN};
use super::set_password;
use super::user::{self, Authority, NameTaken, User};
use crate::audit::refusals;
use crate::audit::{EventDetails, Origin, Subject, event};
use crate::change::Change;
use crate::database::now;
use crate::database::schema::{personal_tokens, roles, sessions, users};
use crate::sessions::{EndReason, SessionSelection, end_sessions};
use crate::tokens::owner::{AccountChange, UserStatus};
use crate::tokens::revocation::{self, Revocation};

/// The changes to make. `None` leaves a field unchanged.
#[derive(Clone, Default)]
pub(crate) struct Changes {
    pub username: Option<Username>,
    pub email: Change<EmailAddress>,
    pub role: Option<String>,
    pub status: Option<UserStatus>,
}

impl Changes {
    /// Returns the changes that differ from the row. Unchanged fields are not written or published in the
    /// feed.
    fn of(&self, user: &User) -> Self {
        let is_current =
            |email: Option<&EmailAddress>| email.map(EmailAddress::as_str) == user.email.as_deref();
        Self {
            username: self.username.clone().filter(|name| name.as_str() != user.username),
            email: self.email.clone().unless_done(is_current),
            role: self.role.clone().filter(|role| *role != user.role),
            status: self.status.clone().filter(|status| *status != user.status),
        }
    }
}

/// The outcome of a change.
#[derive(Debug)]
pub(crate) enum ChangeOutcome {
    /// The change was made.
    Done(User),
    /// The user does not exist.
    NotFound,
    /// Another account has the name.
    NameTaken(NameTaken),
    /// The new username is not allowed.
    NameRefused(NameError),
    /// The role does not exist.
    UnknownRole,
    /// The caller lacks these permissions, which the account or the new role has.
    Denied(Vec<String>),
    /// The account differs from what the caller saw. This is its current state.
    Stale(User),
    /// The change would leave no active administrator.
    LastAdmin,
}

/// Changes an account. Calls `is_as_seen` with the current row, under the lock.
pub(crate) fn update(
    connection: &mut PgConnection,
    id: Uuid,
    changes: &Changes,
    is_as_seen: impl FnOnce(&User) -> bool,
    authority: &Authority,
    origin: &Origin,
) -> QueryResult<ChangeOutcome> {
    let Some((user, permissions)) = user::lock(connection, id)? else { return Ok(ChangeOutcome::NotFound) };
    let changes = &changes.of(&user);
    let renamed = changes.username.as_ref().filter(|name| !name.is_spelling_of(&user.username));
    if let Some(error) = renamed.and_then(|name| name.check_new().err()) {
        return Ok(ChangeOutcome::NameRefused(error));
    }
    let mut wanted = permissions;
    if let Some(role) = &changes.role {
        let Some(permissions) = role::find_permissions(connection, role)? else {
            return Ok(ChangeOutcome::UnknownRole);
        };
        wanted.extend(permissions);
    }
    let lacking = authority.lacks(&wanted);
    if !lacking.is_empty() {
        return Ok(ChangeOutcome::Denied(lacking));
    }
    if !is_as_seen(&user) {
        return Ok(ChangeOutcome::Stale(user));
    }
    let demoted = changes.role.as_deref().is_some_and(|role| role != ADMIN);
    let disabled = changes.status.as_ref().is_some_and(|status| !status.is_active());
    if (demoted || disabled) && is_last_admin(connection, &user)? {
        return Ok(ChangeOutcome::LastAdmin);
    }
    // Use a savepoint, so that a taken name does not break the transaction.
    match connection.transaction(|connection| write(connection, &user, changes, origin)) {
        Ok(user) => Ok(ChangeOutcome::Done(user)),
        Err(error) => match user::name_taken(&error, changes.username.as_ref()) {
            Some(taken) => Ok(ChangeOutcome::NameTaken(taken)),
            None => Err(error),
        },
    }
}

/// Disables an account and, if `ends_sessions`, ends its sessions, even if it was disabled before. Returns
/// the number of sessions that ended.
pub(crate) fn disable(
    connection: &mut PgConnection,
    id: Uuid,
    ends_sessions: bool,
    authority: &Authority,
    origin: &Origin,
) -> QueryResult<(ChangeOutcome, usize)> {
    let changes = Changes { status: Some(UserStatus::Disabled), ..Changes::default() };
    let change = update(connection, id, &changes, |_| true, authority, origin)?;
    let mut ended = 0;
    if ends_sessions && matches!(change, ChangeOutcome::Done(_)) {
        ended =
            end_sessions(connection, &SessionSelection::AllOf(id), EndReason::EndedByAdmin, origin)?.len();
    }
    Ok((change, ended))
}

/// Returns whether no other active administrator would remain. Locking the role's row serialises two
/// administrators who demote each other.
fn is_last_admin(connection: &mut PgConnection, user: &User) -> QueryResult<bool> {
    if user.role != ADMIN || !user.is_active() {
        return Ok(false);
    }
    roles::table.find(ADMIN).select(roles::name).for_update().first::<String>(connection)?;
    let others = users::table
        .filter(users::role.eq(ADMIN).and(users::status.eq(UserStatus::Active)).and(users::id.ne(user.id)))
        .select(users::id);
    diesel::select(diesel::dsl::not(diesel::dsl::exists(others))).get_result(connection)
}

fn write(
    connection: &mut PgConnection,
    user: &User,
    changes: &Changes,
    origin: &Origin,
) -> QueryResult<User> {
    let subject = Subject { id: Some(user.id), name: Some(&user.username) };
    if changes.username.is_some() || !changes.email.is_keep() {
        write_names(connection, user, changes)?;
        let username = changes.username.as_ref().map(|name| name.as_str().to_owned());
        let email = changes.email.as_ref().new_value().map(|email| email.as_str().to_owned());
        let details =
            EventDetails::UserUpdated { username: Some(username), email: Some(email), reason: None };
        event::insert(connection, origin, subject, &details)?;
    }
    if let Some(role) = &changes.role {
        diesel::update(users::table.find(user.id)).set(users::role.eq(role)).execute(connection)?;
        raise_version(connection, user.id, &AccountChange::RoleChanged)?;
        let details = EventDetails::UserRoleChanged { from: user.role.clone(), to: role.clone() };
        event::insert(connection, origin, subject, &details)?;
    }
    if let Some(status) = &changes.status {
        diesel::update(users::table.find(user.id)).set(users::status.eq(status)).execute(connection)?;
        let (reason, details) = if status.is_active() {
            (AccountChange::Enabled, EventDetails::UserEnabled {})
        } else {
            (AccountChange::Disabled, EventDetails::UserDisabled { reason: None })
        };
        raise_version(connection, user.id, &reason)?;
        event::insert(connection, origin, subject, &details)?;
    }
    users::table.find(user.id).select(User::as_select()).first(connection)
}

fn write_names(connection: &mut PgConnection, user: &User, changes: &Changes) -> QueryResult<()> {
    let username = changes.username.as_ref().map(|name| {
        (users::username.eq(name.as_str().to_owned()), users::username_folded.eq(name.folded().to_owned()))
    });
    let email = (!changes.email.is_keep()).then(|| {
        let new = changes.email.as_ref().new_value();
        let folded = new.map(|email| email.folded().to_owned());
        let typed = new.map(|email| email.as_str().to_owned());
        (users::email.eq(typed), users::email_folded.eq(folded))
    });
    diesel::update(users::table.find(user.id))
        .set((username, email, users::updated_at.eq(now())))
        .execute(connection)?;
    if let Some(name) = &changes.username {
        user::insert_aliases(connection, user.id, name.folded(), &name.aliases())?;
    }
    if let Change::Set(email) = &changes.email {
        user::insert_aliases(connection, user.id, email.folded(), &email.aliases())?;
    }
    // An open link was sent to the previous address.
    let was_address = changes.username.is_some() && user.username.contains('@');
    if !changes.email.is_keep() || was_address {
        set_password::consume_links(connection, user.id)?;
    }
    revocation::insert_change(connection, &Revocation::UserChanged(user.id), "renamed")
}

/// Raises the user's version, so that access tokens issued earlier are refused. Sessions continue.
fn raise_version(connection: &mut PgConnection, id: Uuid, reason: &AccountChange) -> QueryResult<()> {
    let version: i64 = diesel::update(users::table.find(id))
        .set((users::version.eq(users::version + 1), users::updated_at.eq(now())))
        .returning(users::version)
        .get_result(connection)?;
    let until = latest_session_end(connection, id)?;
    revocation::insert(connection, &Revocation::UserBelow(id, version), reason.as_str(), until)
}

/// Re-applies a version that the database has lost. If `shuts_out`, the lost change disabled or deleted the
/// account, so it is disabled. Returns the account's name. The lost role is unknown and cannot be restored.
pub(crate) fn reapply(
    connection: &mut PgConnection,
    id: Uuid,
    version: i64,
    reason: &AccountChange,
    disables: bool,
    origin: &Origin,
) -> QueryResult<Option<String>> {
    let Some((user, _)) = user::lock(connection, id)? else { return Ok(None) };
    diesel::update(users::table.find(id).filter(users::version.lt(version)))
        .set((users::version.eq(version), users::updated_at.eq(now())))
        .execute(connection)?;
    let until = latest_session_end(connection, id)?;
    revocation::insert(connection, &Revocation::UserBelow(id, version), reason.as_str(), until)?;
    if disables && user.is_active() {
        diesel::update(users::table.find(id))
            .set(users::status.eq(UserStatus::Disabled))
            .execute(connection)?;
        let subject = Subject { id: Some(id), name: Some(&user.username) };
        let details = EventDetails::UserDisabled { reason: Some(reason.to_string()) };
        event::insert(connection, origin, subject, &details)?;
    }
    Ok(Some(user.username))
}

/// Returns the latest end of the user's sessions. None of the user's access tokens expires later.
fn latest_session_end(connection: &mut PgConnection, id: Uuid) -> QueryResult<DateTime<Utc>> {
    let latest: Option<DateTime<Utc>> = sessions::table
        .filter(sessions::user_id.eq(id))
        .select(diesel::dsl::max(sessions::expires_at))
        .first(connection)?;
    match latest {
        Some(latest) => Ok(latest),
        None => diesel::select(now()).get_result(connection),
    }
}

/// Deletes an account, ends its sessions, revokes its tokens and deletes its notes. Its credentials are
/// refused with `account_deleted` until they would have expired. Calls `is_as_seen` with the current row,
/// under the lock.
pub(crate) fn delete(
    connection: &mut PgConnection,
    id: Uuid,
    is_as_seen: impl FnOnce(&User) -> bool,
    authority: &Authority,
    origin: &Origin,
) -> QueryResult<ChangeOutcome> {
    let Some((user, permissions)) = user::lock(connection, id)? else { return Ok(ChangeOutcome::NotFound) };
    let lacking = authority.lacks(&permissions);
    if !lacking.is_empty() {
        return Ok(ChangeOutcome::Denied(lacking));
    }
    if !is_as_seen(&user) {
        return Ok(ChangeOutcome::Stale(user));
    }
    if is_last_admin(connection, &user)? {
        return Ok(ChangeOutcome::LastAdmin);
    }
    end_sessions(connection, &SessionSelection::AllOf(id), EndReason::AccountDeleted, origin)?;
    diesel::update(sessions::table.filter(sessions::user_id.eq(id)))
        .set((sessions::device.eq(None::<String>), sessions::address.eq(None::<String>)))
        .execute(connection)?;
    refusals::forget_addresses(connection, id)?;
    let tokens: Vec<(Uuid, DateTime<Utc>)> = personal_tokens::table
        .filter(personal_tokens::user_id.eq(id))
        .select((personal_tokens::id, personal_tokens::expires_at))
        .load(connection)?;
    for (token, expires_at) in tokens {
        let (token, reason) = (Revocation::PersonalToken(token), AccountChange::Deleted);
        revocation::insert(connection, &token, reason.as_str(), expires_at)?;
    }
    raise_version(connection, id, &AccountChange::Deleted)?;
    diesel::delete(users::table.find(id)).execute(connection)?;
    let subject = Subject { id: Some(id), name: Some(&user.username) };
    let details = EventDetails::UserDeleted { role: user.role.clone() };
    event::insert(connection, origin, subject, &details)?;
    Ok(ChangeOutcome::Done(user))
}
