//! What is done to other people's accounts, through the API and on pages alike.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::caller::Caller;
use super::fields::{Fields, FromFields};
use super::input::not_found;
use super::page::{Page, PageRequest};
use super::refusal;
use super::services::Services;
use crate::audit::Origin;
use crate::problem::{Code, FieldError, Problem};
use crate::sessions::{EndReason, Which, end_sessions};
use crate::tokens::personal_token::{self, RevokeReason};
use crate::users::change::{self, Change, Changes};
use crate::users::name::{EmailAddress, Username, fold_typed};
use crate::users::password::PlainPassword;
use crate::users::set_password::{self, LinkToken, Setting};
use crate::users::user::{self, ACTIVE, Access, Authority, DISABLED, Filter, Insertion, NewUser, User};

/// The role of an account when none is said.
const ROLE_DEFAULT: &str = "member";

/// Which users.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UserQuery {
    /// A part of the username or address.
    pub q: Option<String>,
    /// With this role.
    pub role: Option<String>,
    /// `active` or `disabled`.
    #[param(value_type = Option<Status>, inline)]
    pub status: Option<String>,
    /// Items on a page, 1 to 200.
    #[param(default = 50, minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(min_length = 1)]
    pub cursor: Option<String>,
}

/// Whether an account is let in, for its description.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code)] // of the description alone
pub enum Status {
    /// It is.
    Active,
    /// It is not.
    Disabled,
}

/// An account to be made.
#[derive(Clone, utoipa::ToSchema)]
pub struct NewUserRequest {
    /// Its username.
    #[schema(value_type = String, example = "alice", min_length = 1, max_length = 150)]
    pub username: Username,
    /// Its password; without one it is set by a one-time link.
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 1_000)]
    pub password: Option<PlainPassword>,
    /// Its e-mail address.
    #[schema(value_type = Option<String>, format = Email, min_length = 3, max_length = 254)]
    pub email: Option<EmailAddress>,
    /// Its role; `member` unless said.
    #[schema(default = "member")]
    pub role: Option<String>,
}

impl FromFields for NewUserRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let username = fields.text("username").and_then(|text| fields.username("username", &text));
        let password = fields.optional_text("password").map(|text| PlainPassword::new(&text));
        let email = fields.optional_text("email").and_then(|text| fields.email("email", &text));
        let role = fields.optional_text("role");
        Some(Self { username: username?, password, email, role })
    }
}

/// What is to be changed.
#[derive(Clone, utoipa::ToSchema)]
pub struct UserChanges {
    /// Another username.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 150)]
    pub username: Option<Username>,
    /// Another address; null removes it.
    #[schema(value_type = Option<String>, format = Email, min_length = 3, max_length = 254)]
    pub email: Option<Option<EmailAddress>>,
    /// Another role.
    pub role: Option<String>,
    /// `active` or `disabled`.
    #[schema(value_type = Option<Status>, example = "disabled")]
    pub status: Option<bool>,
}

impl FromFields for UserChanges {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let username = fields.optional_text("username").and_then(|text| fields.username("username", &text));
        let email = match fields.nullable_text("email") {
            Some(Some(text)) => fields.email("email", &text).map(Some),
            other => other.map(|_| None),
        };
        let role = fields.optional_text("role");
        let status = match fields.optional_text("status").as_deref() {
            None => None,
            Some(ACTIVE) => Some(true),
            Some(DISABLED) => Some(false),
            Some(_) => {
                fields.refuse("status", "invalid", "either `active` or `disabled`");
                None
            }
        };
        Some(Self { username, email, role, status })
    }
}

/// A new password, or the wish for a link. Either way the old password is gone at once.
#[derive(Clone, utoipa::ToSchema)]
pub struct PasswordReset {
    /// The new password.
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 1_000)]
    pub new_password: Option<PlainPassword>,
    /// `true` for a one-time link in its place.
    #[schema(value_type = Option<bool>)]
    pub link: bool,
}

impl FromFields for PasswordReset {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let new_password = fields.optional_text("new_password").map(|text| PlainPassword::new(&text));
        let link = fields.optional_flag("link").unwrap_or(false);
        if new_password.is_some() == link {
            fields.refuse("", "one_of", "send either `new_password` or `\"link\": true`");
        }
        Some(Self { new_password, link })
    }
}

impl Services {
    /// A page of users.
    ///
    /// # Errors
    /// `validation_failed`; a fault of ours as a 5xx.
    pub async fn list_users(&self, query: UserQuery) -> Result<Page<User>, Problem> {
        let status = query.status.as_deref();
        if status.is_some_and(|status| ![ACTIVE, DISABLED].contains(&status)) {
            let detail = "either `active` or `disabled`".to_owned();
            return Err(Problem::validation(vec![FieldError::new("/status", "invalid", detail)]));
        }
        let list = format!("users {:?} {:?} {:?}", query.q, query.role, query.status);
        let request = PageRequest::read(self, list, query.limit, query.cursor.as_deref())?;
        let q = query.q.as_deref().filter(|q| !q.is_empty()).map(fold_typed);
        if q == Some(None) {
            // No name can have it.
            return Ok(request.page(self, Vec::new(), |user: &User| user.id, |user| user));
        }
        let filter =
            Filter { q: q.flatten(), role: query.role, status: query.status, before: request.before };
        let rows = request.rows();
        let users = self
            .database
            .run(move |connection| user::list(connection, &filter, rows))
            .await
            .map_err(refusal::database)?;
        Ok(request.page(self, users, |user| user.id, |user| user))
    }

    /// A user.
    ///
    /// # Errors
    /// `not_found`; a fault of ours as a 5xx.
    pub async fn find_user(&self, id: Uuid) -> Result<User, Problem> {
        let found = self.database.run(move |connection| user::find(connection, id)).await;
        found.map_err(refusal::database)?.ok_or_else(not_found)
    }

    /// Makes a user.
    ///
    /// # Errors
    /// `validation_failed`, `conflict`, `permission_denied`, `insufficient_scope`; a fault of ours as a 5xx.
    pub async fn create_user(
        &self,
        caller: &Caller,
        request: NewUserRequest,
        origin: Origin,
    ) -> Result<User, Problem> {
        let password_hash = match request.password {
            None => None,
            Some(password) => {
                let names = (request.username.as_str(), request.email.as_ref().map(EmailAddress::as_str));
                Some(self.hash_new_password(password, names, "/password").await?)
            }
        };
        let role = request.role.unwrap_or_else(|| ROLE_DEFAULT.to_owned());
        let new = NewUser { username: request.username, email: request.email, password_hash, role };
        let authority = authority(caller);
        let inserted = self
            .database
            .transaction(move |connection| user::insert(connection, &new, &authority, &origin))
            .await
            .map_err(refusal::database)?;
        match inserted {
            Insertion::Inserted(user) => Ok(user),
            Insertion::NameTaken(taken) => Err(refusal::name_taken(taken)),
            Insertion::UnknownRole => Err(unknown_role()),
            Insertion::Denied(lacking) => Err(refuse_lacking(&lacking, caller)),
        }
    }

    /// Changes a user; of role or status also raises the version, so that access tokens are issued anew.
    ///
    /// # Errors
    /// `not_found`, `validation_failed`, `conflict`, `last_admin`, `permission_denied`, `insufficient_scope`; a fault of ours as a 5xx.
    pub async fn update_user(
        &self,
        caller: &Caller,
        id: Uuid,
        request: UserChanges,
        origin: Origin,
    ) -> Result<User, Problem> {
        let changes = Changes {
            username: request.username,
            email: request.email,
            role: request.role,
            active: request.status,
        };
        let authority = authority(caller);
        let changed = self
            .database
            .transaction(move |connection| change::update(connection, id, &changes, &authority, &origin))
            .await
            .map_err(refusal::database)?;
        changed_user(changed, caller)
    }

    /// Deletes a user with all that is his.
    ///
    /// # Errors
    /// `not_found`, `last_admin`, `permission_denied`, `insufficient_scope`; a fault of ours as a 5xx.
    pub async fn delete_user(&self, caller: &Caller, id: Uuid, origin: Origin) -> Result<User, Problem> {
        let authority = authority(caller);
        let deleted = self
            .database
            .transaction(move |connection| change::delete(connection, id, &authority, &origin))
            .await
            .map_err(refusal::database)?;
        changed_user(deleted, caller)
    }

    /// Makes a one-time link by which a user sets a password; every session of the user ends. Gives the link and when
    /// it expires.
    ///
    /// # Errors
    /// `not_found`, `permission_denied`, `insufficient_scope`; a fault of ours as a 5xx.
    pub async fn make_password_link(
        &self,
        caller: &Caller,
        id: Uuid,
        origin: Origin,
    ) -> Result<(String, DateTime<Utc>), Problem> {
        let (token, digest) = LinkToken::mint();
        let authority = authority(caller);
        let made = self
            .database
            .transaction(move |connection| {
                set_password::insert_link(connection, id, &digest, &authority, &origin)
            })
            .await
            .map_err(refusal::database)?;
        let expires_at = made.map_err(|refused| refuse_setting(refused, caller))?;
        Ok((format!("{}/set-password/{}", self.issuer.url, token.expose()), expires_at))
    }

    /// Sets a user's password; every session of the user ends.
    ///
    /// # Errors
    /// `not_found`, `validation_failed`, `permission_denied`, `insufficient_scope`; a fault of ours as a 5xx.
    pub async fn reset_password(
        &self,
        caller: &Caller,
        id: Uuid,
        password: PlainPassword,
        origin: Origin,
    ) -> Result<(), Problem> {
        let user = self.find_user(id).await?;
        let names = (user.username.as_str(), user.email.as_deref());
        let hash = self.hash_new_password(password, names, "/new_password").await?;
        let authority = authority(caller);
        let set = self
            .database
            .transaction(move |connection| set_password::reset(connection, id, &hash, &authority, &origin))
            .await
            .map_err(refusal::database)?;
        match set {
            Setting::Done(_) => Ok(()),
            refused => Err(refuse_setting(refused, caller)),
        }
    }

    /// Ends sessions of a user; gives those that had not ended before.
    ///
    /// # Errors
    /// `not_found`, `permission_denied`, `insufficient_scope`; a fault of ours as a 5xx.
    pub async fn end_sessions_of(
        &self,
        caller: &Caller,
        user_id: Uuid,
        which: Which,
        origin: Origin,
    ) -> Result<Vec<Uuid>, Problem> {
        let authority = authority(caller);
        let ended = self
            .database
            .transaction(move |connection| match user::check_access(connection, user_id, &authority)? {
                Access::Granted => end_sessions(connection, &which, EndReason::EndedByAdmin, &origin).map(Ok),
                refused => Ok(Err(refused)),
            })
            .await
            .map_err(refusal::database)?;
        ended.map_err(|refused| refuse_access(refused, caller))
    }

    /// Revokes a token of a user; gives those that had not been revoked before.
    ///
    /// # Errors
    /// `not_found`, `permission_denied`, `insufficient_scope`; a fault of ours as a 5xx.
    pub async fn revoke_token_of(
        &self,
        caller: &Caller,
        (user_id, token_id): (Uuid, Uuid),
        origin: Origin,
    ) -> Result<Vec<Uuid>, Problem> {
        let (authority, which) = (authority(caller), personal_token::Which::OneOf(user_id, token_id));
        let revoked = self
            .database
            .transaction(move |connection| match user::check_access(connection, user_id, &authority)? {
                Access::Granted => {
                    personal_token::revoke(connection, which, RevokeReason::ByAdmin, &origin).map(Ok)
                }
                refused => Ok(Err(refused)),
            })
            .await
            .map_err(refusal::database)?;
        revoked.map_err(|refused| refuse_access(refused, caller))
    }
}

/// What every account may do with itself. Who hands these on gives no power over others.
const OVER_ITSELF: [&str; 2] = ["account:read", "account:write"];

/// What a caller may hand on: nobody grants what he lacks, nor what he did not send a credential for.
fn authority(caller: &Caller) -> Authority {
    let both = caller.permissions.iter().filter(|name| caller.may(name)).cloned();
    Authority::Limited(both.chain(OVER_ITSELF.map(str::to_owned)).collect())
}

/// What the role lacks is told first: no other credential would have it.
fn refuse_lacking(lacking: &[String], caller: &Caller) -> Problem {
    let by_role: Vec<String> =
        lacking.iter().filter(|name| !caller.permissions.contains(name)).cloned().collect();
    if by_role.is_empty() {
        refusal::insufficient_scope(lacking, &caller.scope, &caller.credential)
    } else {
        refusal::permission_denied(&by_role, &caller.role)
    }
}

fn changed_user(change: Change, caller: &Caller) -> Result<User, Problem> {
    Err(match change {
        Change::Done(user) => return Ok(user),
        Change::NotFound => not_found(),
        Change::NameTaken(taken) => refusal::name_taken(taken),
        Change::UnknownRole => unknown_role(),
        Change::Denied(lacking) => refuse_lacking(&lacking, caller),
        Change::LastAdmin => {
            let detail = "This is the last active admin, who can be neither disabled, demoted nor deleted. Make \
                          another one first.";
            Problem::new(Code::LastAdmin, detail)
        }
    })
}

fn unknown_role() -> Problem {
    let detail = "no such role; the built-in ones are viewer, member and admin".to_owned();
    Problem::validation(vec![FieldError::new("/role", "unknown_role", detail)])
}

fn refuse_access(access: Access, caller: &Caller) -> Problem {
    match access {
        Access::Denied(lacking) => refuse_lacking(&lacking, caller),
        Access::NotFound | Access::Granted => not_found(),
    }
}

fn refuse_setting(setting: Setting, caller: &Caller) -> Problem {
    match setting {
        Setting::Denied(lacking) => refuse_lacking(&lacking, caller),
        Setting::NotFound | Setting::Done(_) => not_found(),
    }
}
