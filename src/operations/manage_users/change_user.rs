//! Changes, disables and deletes a user.

use uuid::Uuid;

use super::authority::{Effect, change_account, refuse_lacking};
use super::list_users::Status;
use super::unknown_role::{find_unknown_role, unknown_role};
use crate::audit::Origin;
use crate::change::Change;
use crate::guard::caller::Caller;
use crate::guard::refusals;
use crate::http::fields::{Fields, FromFields};
use crate::operations::user_tag::Expected;
use crate::refusal::{Code, FieldError, Refusal, not_found};
use crate::state::State;
use crate::tokens::owner::UserStatus;
use crate::users::change::{self, ChangeOutcome, Changes};
use crate::users::name::{EmailAddress, Username};
use crate::users::user::{self, User};

/// The fields to change. A field that is left out stays as it is.
#[derive(Clone, Default, utoipa::ToSchema)]
pub(crate) struct UserChanges {
    /// The new username.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 150)]
    pub username: Option<Username>,
    /// The new e-mail address. Null removes it.
    #[schema(value_type = Option<String>, format = Email, min_length = 3, max_length = 254)]
    pub email: Change<EmailAddress>,
    /// The new role.
    #[schema(value_type = String, required = false)]
    pub role: Option<String>,
    /// The new status, `active` or `disabled`.
    #[schema(value_type = Status, required = false, example = "disabled")]
    pub status: Option<UserStatus>,
}

impl FromFields for UserChanges {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let username = fields
            .changed_text("username")
            .and_then(|text| fields.parsed("username", Username::parse(&text)));
        let email =
            fields.nullable_text("email").and_then(|text| fields.parsed("email", EmailAddress::parse(&text)));
        let role = fields.changed_text("role");
        let status = fields.changed_text("status").map(UserStatus::from);
        if matches!(status, Some(UserStatus::Unknown(_))) {
            fields.refuse("status", "invalid", "either `active` or `disabled`");
        }
        Some(Self { username, email, role, status })
    }
}

impl UserChanges {
    /// Returns the field errors that depend on the account. It may keep a username that only earlier versions
    /// allowed.
    pub(crate) async fn mistakes(&self, state: &State, id: Uuid) -> Result<Vec<FieldError>, Refusal> {
        let mut mistakes = find_unknown_role(state, self.role.as_deref()).await?;
        if let Some(name) = &self.username
            && let Err(fault) = name.check_new()
        {
            let found = state.core.database.run(move |connection| user::find(connection, id)).await?;
            if found.is_some_and(|user| !name.is_spelling_of(&user.username)) {
                mistakes.insert(0, refusals::username_error(&fault));
            }
        }
        Ok(mistakes)
    }

    /// Returns whether the only change is to disable the account.
    fn only_disables(&self) -> bool {
        self.status == Some(UserStatus::Disabled)
            && self.username.is_none()
            && self.email.is_keep()
            && self.role.is_none()
    }
}

/// Changes a user, if the account is as expected. Changing the role or the status also increases the version,
/// so that clients must refresh their access tokens.
pub(crate) struct UpdateUser {
    pub id: Uuid,
    pub request: UserChanges,
    pub expected: Expected,
}

impl UpdateUser {
    /// # Errors
    /// `not_found`, `validation_failed`, `precondition_failed`, `conflict`, `last_admin`,
    /// `permission_denied`, `insufficient_scope`.
    pub(crate) async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<User, Refusal> {
        let Self { id, request, expected } = self;
        let effect = if request.only_disables() { Effect::TakesAway } else { Effect::Gives };
        let changes = Changes {
            username: request.username,
            email: request.email,
            role: request.role,
            status: request.status,
        };
        change_account(state, caller, id, effect, move |connection, caller, authority| {
            let is_as_seen = |user: &User| expected.holds(user);
            let changed = change::update(connection, id, &changes, is_as_seen, authority, &origin)?;
            Ok(changed_user(changed, &expected, caller))
        })
        .await
    }
}

/// Deletes a user and everything that belongs to them, if the account is as expected.
pub(crate) struct DeleteUser {
    pub id: Uuid,
    pub expected: Expected,
}

impl DeleteUser {
    /// # Errors
    /// `not_found`, `precondition_failed`, `last_admin`, `permission_denied`, `insufficient_scope`.
    pub(crate) async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<User, Refusal> {
        let Self { id, expected } = self;
        change_account(state, caller, id, Effect::TakesAway, move |connection, caller, authority| {
            let is_as_seen = |user: &User| expected.holds(user);
            let deleted = change::delete(connection, id, is_as_seen, authority, &origin)?;
            Ok(changed_user(deleted, &expected, caller))
        })
        .await
    }
}

/// Disables a user and, if `ends_sessions`, ends their sessions. Returns the number of sessions that ended.
pub(crate) struct DisableUser {
    pub id: Uuid,
    pub ends_sessions: bool,
}

impl DisableUser {
    /// # Errors
    /// `not_found`, `last_admin`, `permission_denied`, `insufficient_scope`.
    pub(crate) async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<usize, Refusal> {
        let Self { id, ends_sessions } = self;
        change_account(state, caller, id, Effect::TakesAway, move |connection, caller, authority| {
            let (change, ended) = change::disable(connection, id, ends_sessions, authority, &origin)?;
            Ok(changed_user(change, &Expected::Anything, caller).map(|_| ended))
        })
        .await
    }
}

fn changed_user(change: ChangeOutcome, expected: &Expected, caller: &Caller) -> Result<User, Refusal> {
    Err(match change {
        ChangeOutcome::Done(user) => return Ok(user),
        ChangeOutcome::NotFound => not_found(),
        ChangeOutcome::NameTaken(taken) => refusals::name_taken(taken),
        ChangeOutcome::NameRefused(error) => refusals::invalid_username(&error),
        ChangeOutcome::UnknownRole => unknown_role(),
        ChangeOutcome::Denied(lacking) => refuse_lacking(&lacking, caller),
        ChangeOutcome::Stale(user) => expected.refuse(&user),
        ChangeOutcome::LastAdmin => {
            let detail = "This is the last active administrator, who cannot be disabled, demoted or deleted. \
                          Make someone else an administrator first.";
            Refusal::new(Code::LastAdmin, detail)
        }
    })
}
