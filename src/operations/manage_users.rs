//! Manages other people's accounts, for the API and the pages.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::user_tag::Expected;
use crate::audit::Origin;
use crate::change::Change;
use crate::database::{Connection, Queried};
use crate::guard::caller::Caller;
use crate::guard::{refusals, rejudge};
use crate::http::fields::{Fields, FromFields};
use crate::http::pagination::{Page, PageRequest};
use crate::http::parameters;
use crate::http::request::not_found;
use crate::operations::new_password;
use crate::refusal::{Code, FieldError, Problem};
use crate::sessions::{EndReason, Which, end_sessions};
use crate::state::State;
use crate::tokens::owner::UserStatus;
use crate::tokens::personal_token::{self, RevokeReason};
use crate::users::change::{self, ChangeOutcome, Changes};
use crate::users::name::{EmailAddress, Username, fold_typed};
use crate::users::password::PlainPassword;
use crate::users::role::{self, ACCOUNT_WRITE};
use crate::users::set_password::{self, Ended, LinkToken, MadeLink, Setting};
use crate::users::user::{self, Access, Authority, Exempt, Filter, Insertion, NewUser, User};

/// The parameters of a listing of users.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UserQuery {
    /// A part of the username or address. Case is ignored, as it is for names. If the search would read too
    /// much, the answer is 503 `overloaded`. Narrow the search then.
    pub q: Option<String>,
    /// Only users with this role.
    pub role: Option<String>,
    /// Only users with this status, `active` or `disabled`.
    #[param(value_type = Option<Status>, inline)]
    #[serde(default, deserialize_with = "status")]
    pub status: Option<String>,
    /// The number of items on a page, from 1 to 200.
    #[param(default = 50, minimum = 1, maximum = 200)]
    #[serde(default, deserialize_with = "crate::http::pagination::limit")]
    pub limit: Option<u32>,
    /// The `next_cursor` of the previous page.
    #[param(min_length = 1)]
    #[serde(default, deserialize_with = "crate::http::pagination::cursor")]
    pub cursor: Option<String>,
}

/// Parses the parameter `status`. The form on the page sends an empty one for any status.
fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    parameters::one_of(deserializer, &[UserStatus::NAMES, &[""]].concat()).map(Some)
}

/// The status of an account.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code)] // of the description alone
pub enum Status {
    /// The user can sign in.
    Active,
    /// The user cannot sign in.
    Disabled,
}

/// An account to create.
#[derive(Clone, utoipa::ToSchema)]
pub struct NewUserRequest {
    /// The username, without a colon. If it has an @, it must be an e-mail address.
    #[schema(value_type = String, example = "alice", min_length = 1, max_length = 150)]
    pub username: Username,
    /// The password. Without it, the user sets one by a one-time link.
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 1_000)]
    pub password: Option<PlainPassword>,
    /// The e-mail address.
    #[schema(value_type = Option<String>, format = Email, min_length = 3, max_length = 254)]
    pub email: Option<EmailAddress>,
    /// The role. The default is `member`.
    #[schema(default = json!(role::DEFAULT))]
    pub role: Option<String>,
}

impl FromFields for NewUserRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        NewUserDraft::from_fields(fields)?.complete()
    }
}

/// The valid fields of a request to create an account.
#[derive(Clone)]
pub struct NewUserDraft {
    username: Option<Username>,
    password: Option<PlainPassword>,
    email: Option<EmailAddress>,
    role: Option<String>,
}

impl FromFields for NewUserDraft {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let username =
            fields.text("username").and_then(|text| fields.parsed("username", Username::parse_new(&text)));
        let password = fields.optional_text("password").map(|text| PlainPassword::new(&text));
        let email =
            fields.optional_text("email").and_then(|text| fields.parsed("email", EmailAddress::parse(&text)));
        let role = fields.optional_text("role");
        Some(Self { username, password, email, role })
    }
}

impl NewUserDraft {
    /// Returns the field errors that depend on the server's state: an unknown role, and a password that
    /// violates the policy.
    pub async fn mistakes(&self, state: &State) -> Result<Vec<FieldError>, Problem> {
        let mut mistakes = find_unknown_role(state, self.role.as_deref()).await?;
        if let Some(password) = &self.password {
            let username = self.username.as_ref().map(Username::as_str);
            let names = username.into_iter().chain(self.email.as_ref().map(EmailAddress::as_str));
            mistakes.extend(new_password::find_errors(state, password.clone(), names, "/password").await?);
        }
        Ok(mistakes)
    }

    /// Returns the complete request, if the username is valid.
    #[must_use]
    pub fn complete(self) -> Option<NewUserRequest> {
        let Self { username, password, email, role } = self;
        Some(NewUserRequest { username: username?, password, email, role })
    }
}

/// Returns the field error for a role that does not exist.
async fn find_unknown_role(state: &State, role: Option<&str>) -> Result<Vec<FieldError>, Problem> {
    let Some(role) = role.map(str::to_owned) else { return Ok(Vec::new()) };
    let found = state.core.database.run(move |connection| role::find_permissions(connection, &role)).await?;
    Ok(if found.is_none() { vec![unknown_role_error()] } else { Vec::new() })
}

/// The fields to change. A field that is left out stays as it is.
#[derive(Clone, Default, utoipa::ToSchema)]
pub struct UserChanges {
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
    pub async fn mistakes(&self, state: &State, id: Uuid) -> Result<Vec<FieldError>, Problem> {
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

/// A new password, or a request for a one-time link. Either way, the old password stops working at once.
#[derive(Clone, utoipa::ToSchema)]
pub struct PasswordReset {
    /// The new password.
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 1_000)]
    pub new_password: Option<PlainPassword>,
    /// If `true`, creates a one-time link in place of a password.
    #[schema(value_type = Option<bool>)]
    pub link: bool,
    /// If `true`, every personal token of the user is revoked too. With a link, that happens both now and
    /// when the link is used.
    #[schema(value_type = Option<bool>, default = true)]
    pub revoke_tokens: bool,
}

impl FromFields for PasswordReset {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let new_password = fields.optional_text("new_password").map(|text| PlainPassword::new(&text));
        let link = fields.optional_flag("link").unwrap_or(false);
        let revoke_tokens = fields.optional_flag("revoke_tokens").unwrap_or(true);
        if new_password.is_some() == link {
            fields.refuse("", "one_of", "send either `new_password` or `\"link\": true`");
        }
        Some(Self { new_password, link, revoke_tokens })
    }
}

/// A one-time link with which a user sets a password.
pub struct PasswordLink {
    /// The link, which is shown only once.
    pub url: String,
    pub expires_at: DateTime<Utc>,
    /// The credentials that ended with the old password.
    pub ended: Ended,
}

/// Returns a page of users.
pub struct ListUsers {
    pub query: UserQuery,
}

impl ListUsers {
    /// # Errors
    /// `validation_failed`.
    pub async fn run(self, state: &State) -> Result<Page<User>, Problem> {
        let Self { query } = self;
        refuse_unknown_role(state, query.role.as_deref()).await?;
        let status = query.status.as_deref().map(UserStatus::from);
        if matches!(status, Some(UserStatus::Unknown(_))) {
            let detail = "either `active` or `disabled`".to_owned();
            return Err(Problem::validation(vec![FieldError::new("/status", "invalid", detail)]));
        }
        let list = format!("users {:?} {:?} {:?}", query.q, query.role, query.status);
        let request = PageRequest::read(&state.core.secret_keys, list, query.limit, query.cursor.as_deref())?;
        let typed = query.q.as_deref().filter(|q| !q.is_empty());
        let q = typed.and_then(fold_typed);
        if typed.is_some() && q.is_none() {
            // No name can contain this.
            return Ok(request.page(&state.core.secret_keys, Vec::new(), |user: &User| user.id, |user| user));
        }
        let filter = Filter { q, role: query.role, status, before: request.before };
        let rows = request.rows();
        let users =
            state.core.database.search(move |connection| user::list(connection, &filter, rows)).await?;
        Ok(request.page(&state.core.secret_keys, users, |user| user.id, |user| user))
    }
}

/// Refuses a search for a role that does not exist.
async fn refuse_unknown_role(state: &State, role: Option<&str>) -> Result<(), Problem> {
    let Some(role) = role else { return Ok(()) };
    let roles = state.core.database.run(role::list).await?;
    let names: Vec<&str> = roles.iter().map(|(name, _)| name.as_str()).collect();
    if names.contains(&role) {
        return Ok(());
    }
    let detail = format!("send one of `{}`, or leave it out", names.join("`, `"));
    Err(Problem::validation(vec![FieldError::new("/role", "unknown_role", detail)]))
}

/// Returns a user.
pub struct FindUser {
    pub id: Uuid,
}

impl FindUser {
    /// # Errors
    /// `not_found`.
    pub async fn run(self, state: &State) -> Result<User, Problem> {
        let Self { id } = self;
        let found = state.core.database.run(move |connection| user::find(connection, id)).await;
        found?.ok_or_else(not_found)
    }
}

/// Creates a user.
pub struct CreateUser {
    pub request: NewUserRequest,
}

impl CreateUser {
    /// # Errors
    /// `validation_failed`, `conflict`, `permission_denied`, `insufficient_scope`.
    pub async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<User, Problem> {
        let Self { request } = self;
        let password_hash = match request.password {
            None => None,
            Some(password) => {
                let names = (request.username.as_str(), request.email.as_ref().map(EmailAddress::as_str));
                Some(new_password::hash_new_password(state, password, names, "/password").await?)
            }
        };
        let role = request.role.unwrap_or_else(|| role::DEFAULT.to_owned());
        let new = NewUser { username: request.username, email: request.email, password_hash, role };
        let insert = move |connection: &mut Connection, caller: &Caller| {
            let authority = Authority::Limited { held: held(caller), exempt: Exempt::Ordinary };
            Ok(match user::insert(connection, &new, &authority, &origin)? {
                Insertion::Inserted(user) => Ok(user),
                Insertion::NameTaken(taken) => Err(refusals::name_taken(taken)),
                Insertion::UnknownRole => Err(unknown_role()),
                Insertion::Denied(lacking) => Err(refuse_lacking(&lacking, caller)),
            })
        };
        rejudge::transaction(state, caller, None, insert).await
    }
}

/// Changes a user, if the account is as expected. Changing the role or the status also increases the version,
/// so that clients must refresh their access tokens.
pub struct UpdateUser {
    pub id: Uuid,
    pub request: UserChanges,
    pub expected: Expected,
}

impl UpdateUser {
    /// # Errors
    /// `not_found`, `validation_failed`, `precondition_failed`, `conflict`, `last_admin`,
    /// `permission_denied`, `insufficient_scope`.
    pub async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<User, Problem> {
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
pub struct DeleteUser {
    pub id: Uuid,
    pub expected: Expected,
}

impl DeleteUser {
    /// # Errors
    /// `not_found`, `precondition_failed`, `last_admin`, `permission_denied`, `insufficient_scope`.
    pub async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<User, Problem> {
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
pub struct DisableUser {
    pub id: Uuid,
    pub ends_sessions: bool,
}

impl DisableUser {
    /// # Errors
    /// `not_found`, `last_admin`, `permission_denied`, `insufficient_scope`.
    pub async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<usize, Problem> {
        let Self { id, ends_sessions } = self;
        change_account(state, caller, id, Effect::TakesAway, move |connection, caller, authority| {
            let (change, ended) = change::disable(connection, id, ends_sessions, authority, &origin)?;
            Ok(changed_user(change, &Expected::Anything, caller).map(|_| ended))
        })
        .await
    }
}

/// Creates a one-time link with which a user sets a password. Ends every session of the user and, if
/// `revokes_tokens`, revokes every personal token.
pub struct MakePasswordLink {
    pub id: Uuid,
    pub revokes_tokens: bool,
}

impl MakePasswordLink {
    /// # Errors
    /// `not_found`, `permission_denied`, `insufficient_scope`.
    pub async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<PasswordLink, Problem> {
        let Self { id, revokes_tokens } = self;
        let (token, digest) = LinkToken::mint();
        let made = change_account(state, caller, id, Effect::Gives, move |connection, caller, authority| {
            let made =
                set_password::insert_link(connection, id, &digest, revokes_tokens, authority, &origin)?;
            Ok(set(made, caller))
        });
        let MadeLink { expires_at, ended } = made.await?;
        let url = format!("{}/set-password/{}", state.tokens.issuer.url, token.expose());
        Ok(PasswordLink { url, expires_at, ended })
    }
}

/// Sets a user's password. Ends every session of the user and, if `revokes_tokens`, revokes every personal
/// token.
pub struct ResetPassword {
    pub id: Uuid,
    pub password: PlainPassword,
    pub revokes_tokens: bool,
}

impl ResetPassword {
    /// # Errors
    /// `not_found`, `validation_failed`, `permission_denied`, `insufficient_scope`.
    pub async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<Ended, Problem> {
        let Self { id, password, revokes_tokens } = self;
        authority(caller, id, Effect::Gives)?;
        let user = FindUser { id }.run(state).await?;
        let names = (user.username.as_str(), user.email.as_deref());
        let hash = new_password::hash_new_password(state, password, names, "/new_password").await?;
        change_account(state, caller, id, Effect::Gives, move |connection, caller, authority| {
            let reset = set_password::reset(connection, id, &hash, revokes_tokens, authority, &origin)?;
            Ok(set(reset, caller).map(|(_, ended)| ended))
        })
        .await
    }
}

/// Ends sessions of a user. Returns the IDs of those that had not ended before.
pub struct EndSessionsOf {
    pub user_id: Uuid,
    pub which: Which,
}

impl EndSessionsOf {
    /// # Errors
    /// `not_found`, `permission_denied`, `insufficient_scope`.
    pub async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<Vec<Uuid>, Problem> {
        let Self { user_id, which } = self;
        change_account(state, caller, user_id, Effect::TakesAway, move |connection, caller, authority| {
            match user::check_access(connection, user_id, authority)? {
                Access::Granted => end_sessions(connection, &which, EndReason::EndedByAdmin, &origin).map(Ok),
                refused => Ok(Err(refuse_access(refused, caller))),
            }
        })
        .await
    }
}

/// Revokes one personal token of a user, or all of them. Returns the IDs of those that had not been revoked
/// before.
pub struct RevokeTokensOf {
    pub user_id: Uuid,
    pub token_id: Option<Uuid>,
}

impl RevokeTokensOf {
    /// # Errors
    /// `not_found`, `permission_denied`, `insufficient_scope`.
    pub async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<Vec<Uuid>, Problem> {
        let Self { user_id, token_id } = self;
        let which = token_id.map_or(personal_token::Which::AllOf(user_id), |token_id| {
            personal_token::Which::OneOf(user_id, token_id)
        });
        change_account(state, caller, user_id, Effect::TakesAway, move |connection, caller, authority| {
            match user::check_access(connection, user_id, authority)? {
                Access::Granted => {
                    personal_token::revoke(connection, which, RevokeReason::ByAdmin, &origin).map(Ok)
                }
                refused => Ok(Err(refuse_access(refused, caller))),
            }
        })
        .await
    }
}

/// The effect of an action on an account.
#[derive(Clone, Copy)]
enum Effect {
    /// It can give the caller control of the account, or the account more power.
    Gives,
    /// It only takes something away.
    TakesAway,
}

/// Changes the account `id` in one transaction, with the authority that the caller has at that time.
async fn change_account<T, F>(
    state: &State,
    caller: &Caller,
    id: Uuid,
    effect: Effect,
    mut work: F,
) -> Result<T, Problem>
where
    T: Send + 'static,
    F: FnMut(&mut Connection, &Caller, &Authority) -> Queried<Result<T, Problem>> + Send + 'static,
{
    let work = move |connection: &mut Connection, caller: &Caller| match authority(caller, id, effect) {
        Ok(authority) => work(connection, caller, &authority),
        Err(refused) => Ok(Err(refused)),
    };
    rejudge::transaction(state, caller, Some(id), work).await
}

/// Returns the caller's authority over the account `id`, which is limited to what both role and credential
/// allow.
///
/// # Errors
/// `permission_denied` or `insufficient_scope` if the account is the caller's own and they may not change it.
fn authority(caller: &Caller, id: Uuid, effect: Effect) -> Result<Authority, Problem> {
    let exempt = match effect {
        _ if id == caller.user_id => {
            if !caller.may(ACCOUNT_WRITE) {
                return Err(refuse_lacking(&[ACCOUNT_WRITE.to_owned()], caller));
            }
            Exempt::None
        }
        Effect::Gives => Exempt::Ordinary,
        Effect::TakesAway => Exempt::All,
    };
    Ok(Authority::Limited { held: held(caller), exempt })
}

fn held(caller: &Caller) -> Vec<String> {
    caller.permissions.iter().filter(|name| caller.may(name)).cloned().collect()
}

/// Reports the permissions that the role lacks first, because another credential would not help with those.
fn refuse_lacking(lacking: &[String], caller: &Caller) -> Problem {
    let by_role: Vec<String> =
        lacking.iter().filter(|name| !caller.permissions.contains(name)).cloned().collect();
    if by_role.is_empty() {
        refusals::insufficient_scope(lacking, &caller.scope, &caller.credential)
    } else {
        refusals::permission_denied(&by_role, &caller.role)
    }
}

fn changed_user(change: ChangeOutcome, expected: &Expected, caller: &Caller) -> Result<User, Problem> {
    Err(match change {
        ChangeOutcome::Done(user) => return Ok(user),
        ChangeOutcome::NotFound => not_found(),
        ChangeOutcome::NameTaken(taken) => refusals::name_taken(taken),
        ChangeOutcome::NameRefused(flaw) => refusals::username_flaw(&flaw),
        ChangeOutcome::UnknownRole => unknown_role(),
        ChangeOutcome::Denied(lacking) => refuse_lacking(&lacking, caller),
        ChangeOutcome::Stale(user) => expected.refuse(&user),
        ChangeOutcome::LastAdmin => {
            let detail = "This is the last active admin, who can be neither disabled, demoted nor deleted. Make \
                          another one first.";
            Problem::new(Code::LastAdmin, detail)
        }
    })
}

fn unknown_role() -> Problem {
    Problem::validation(vec![unknown_role_error()])
}

fn unknown_role_error() -> FieldError {
    let detail = "no such role; the built-in ones are viewer, member and admin".to_owned();
    FieldError::new("/role", "unknown_role", detail)
}

fn refuse_access(access: Access, caller: &Caller) -> Problem {
    match access {
        Access::Denied(lacking) => refuse_lacking(&lacking, caller),
        Access::NotFound | Access::Granted => not_found(),
    }
}

fn set<T>(setting: Setting<T>, caller: &Caller) -> Result<T, Problem> {
    match setting {
        Setting::Done(done) => Ok(done),
        Setting::NotFound => Err(not_found()),
        Setting::Denied(lacking) => Err(refuse_lacking(&lacking, caller)),
    }
}
