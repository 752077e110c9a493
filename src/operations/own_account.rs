//! Changes people's own accounts, for the API and the pages.

use chrono::TimeDelta;
use uuid::Uuid;

use super::sign_in::{ATTEMPTS, changed_meanwhile};
use super::user_tag::Expected;
use crate::audit::Origin;
use crate::change::Change;
use crate::database::Connection;
use crate::guard::caller::{Caller, Credential};
use crate::guard::session_cookie::NewSessionCookie;
use crate::guard::{refusals, rejudge};
use crate::http::fields::{AuditedLabel, Fields, FromFields, Scope};
use crate::operations::new_password;
use crate::operations::roles;
use crate::operations::step_up;
use crate::operations::throttle;
use crate::refusal::{self, FieldError, Refusal};
use crate::sessions::renewal::{self, CookieLifetime};
use crate::sessions::{self, CookieDigest, EndReason, FormerSecrets, NewSecret, end_sessions, session};
use crate::state::State;
use crate::tokens::personal_token::{
    self, NewPersonalToken, PersonalToken, PlainPersonalToken, RevokeReason, TokenSelection,
};
use crate::users::change::{self, ChangeOutcome, Changes};
use crate::users::name::{EmailAddress, Username};
use crate::users::password::{PasswordHash, PlainPassword};
use crate::users::role::ACCOUNT_WRITE;
use crate::users::user::Authority;
use crate::users::{User, set_password};

/// The lifetime of a new token in seconds, unless the request names one or the setting allows less.
pub(crate) const TOKEN_TTL_DEFAULT: i64 = 90 * 86_400;

/// The new username or address.
#[derive(Clone, utoipa::ToSchema)]
pub(crate) struct MeChanges {
    /// The new username, without a colon or an @.
    #[schema(value_type = String, required = false, min_length = 1, max_length = 150)]
    pub username: Option<Username>,
    /// The new e-mail address. Null removes it.
    #[schema(value_type = Option<String>, format = Email, min_length = 3, max_length = 254)]
    pub email: Change<EmailAddress>,
    /// The account's current password.
    #[schema(value_type = String, format = Password)]
    pub current_password: PlainPassword,
}

impl FromFields for MeChanges {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let username = fields.changed_text("username");
        let email = fields.nullable_text("email");
        let current_password = fields.text("current_password");
        let username = username.and_then(|text| fields.parsed("username", Username::parse(&text)));
        let email = email.and_then(|text| fields.parsed("email", EmailAddress::parse(&text)));
        let current_password = PlainPassword::new(current_password.as_deref().unwrap_or(""));
        Some(Self { username, email, current_password })
    }
}

impl MeChanges {
    /// Returns the field errors that depend on the account. It may keep a username that only earlier versions
    /// allowed.
    #[must_use]
    pub(crate) fn mistakes(&self, caller: &Caller) -> Vec<FieldError> {
        let renamed = self.username.as_ref().filter(|name| !name.is_spelling_of(&caller.username));
        let fault = renamed.and_then(|name| name.check_own().err());
        fault.iter().map(refusals::username_error).collect()
    }
}

/// The current password and the new one.
#[derive(Clone, utoipa::ToSchema)]
pub(crate) struct PasswordChange {
    /// The account's current password.
    #[schema(value_type = String, format = Password)]
    pub current_password: PlainPassword,
    /// The new password. It must have at least 12 characters by default, and at most 1,000 bytes.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1_000)]
    pub new_password: PlainPassword,
    /// If `true`, every personal token is revoked too.
    #[schema(value_type = Option<bool>, default = false)]
    pub revoke_tokens: bool,
}

/// The fields of a request to change the password that were parsed without errors. The other passwords are
/// `None`, and an invalid flag is false.
#[derive(Clone)]
pub(crate) struct PasswordChangeDraft {
    current_password: Option<PlainPassword>,
    new_password: Option<PlainPassword>,
    revoke_tokens: bool,
}

impl FromFields for PasswordChangeDraft {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let current_password = fields.text("current_password").map(|text| PlainPassword::new(&text));
        let new_password = fields.text("new_password").map(|text| PlainPassword::new(&text));
        let revoke_tokens = fields.optional_flag("revoke_tokens").unwrap_or(false);
        Some(Self { current_password, new_password, revoke_tokens })
    }
}

impl PasswordChangeDraft {
    /// Returns every error of the new password. They do not depend on the current one, which is verified only
    /// for a request without errors.
    pub(crate) async fn mistakes(&self, state: &State, caller: &Caller) -> Result<Vec<FieldError>, Refusal> {
        let Some(password) = self.new_password.clone() else { return Ok(Vec::new()) };
        let names = std::iter::once(caller.username.as_str()).chain(caller.email.as_deref());
        new_password::find_errors(state, password, names, "/new_password").await
    }

    /// Returns the complete request, if both passwords were sent.
    #[must_use]
    pub(crate) fn complete(self) -> Option<PasswordChange> {
        let Self { current_password, new_password, revoke_tokens } = self;
        Some(PasswordChange {
            current_password: current_password?,
            new_password: new_password?,
            revoke_tokens,
        })
    }
}

/// A personal token to create.
#[derive(Clone, utoipa::ToSchema)]
pub(crate) struct NewTokenRequest {
    /// The name of the token. It has at most 100 characters.
    #[schema(example = "backup script", min_length = 1, max_length = 100)]
    pub name: String,
    /// The scope of the token. It must be within the scope of the credential that creates it.
    #[schema(value_type = Scope, example = "notes:read")]
    pub scope: Vec<String>,
    /// Seconds until the token expires. The maximum is `DOORWARD_TOKEN_TTL_MAX`, by default 3,650 days. The
    /// default is 90 days, or the maximum if that is less.
    #[schema(value_type = Option<i64>, default = 7_776_000, minimum = 1, maximum = 315_360_000)]
    pub expires_in: Option<i64>,
}

impl FromFields for NewTokenRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.member("name").map(|AuditedLabel::<100>(name)| name);
        let scope = fields.scope("scope");
        if scope.as_ref().is_some_and(|scope| scope.iter().any(|name| name == ACCOUNT_WRITE)) {
            fields.refuse("scope", "not_allowed", format!("personal tokens cannot have `{ACCOUNT_WRITE}`"));
        }
        // The bound is a setting, which only [`token_ttl`] can check.
        let expires_in = fields.optional_integer("expires_in", 1, i64::MAX);
        Some(Self { name: name.unwrap_or_default(), scope: scope.unwrap_or_default(), expires_in })
    }
}

impl NewTokenRequest {
    /// Returns the field errors that depend on the server's state: a lifetime that is not allowed, and names
    /// in the scope that no role has.
    pub(crate) async fn mistakes(&self, state: &State, caller: &Caller) -> Result<Vec<FieldError>, Refusal> {
        let mut mistakes: Vec<FieldError> = token_ttl(state, self.expires_in).err().into_iter().collect();
        let denied = session::missing(Some(&self.scope), &caller.permissions);
        if !denied.is_empty() {
            mistakes.extend(roles::find_unknown_scope(state, &denied).await?);
        }
        Ok(mistakes)
    }
}

/// Changes the caller's own username or address, if the account is as expected.
pub(crate) struct ChangeProfile {
    pub request: MeChanges,
    pub expected: Expected,
}

impl ChangeProfile {
    /// # Errors
    /// `validation_failed`, `precondition_failed`, `conflict`, `account_deleted`.
    pub(crate) async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<User, Refusal> {
        let Self { request, expected } = self;
        let mistakes = request.mistakes(caller);
        if !mistakes.is_empty() {
            return Err(Refusal::validation(mistakes));
        }
        step_up::verify_current(state, caller, request.current_password, &origin).await?;
        let changes = Changes { username: request.username, email: request.email, ..Changes::default() };
        let user_id = caller.user_id;
        let change = move |connection: &mut Connection, _: &Caller| {
            let is_as_seen = |user: &User| expected.holds(user);
            let everything = Authority::Unlimited;
            let changed = change::update(connection, user_id, &changes, is_as_seen, &everything, &origin)?;
            Ok(match changed {
                ChangeOutcome::Done(user) => Ok(user),
                ChangeOutcome::NameTaken(taken) => Err(refusals::name_taken(taken)),
                ChangeOutcome::NameRefused(error) => Err(refusals::invalid_username(&error)),
                ChangeOutcome::NotFound => Err(refusals::account_deleted()),
                ChangeOutcome::Stale(user) => Err(expected.refuse(&user)),
                ChangeOutcome::UnknownRole | ChangeOutcome::Denied(_) | ChangeOutcome::LastAdmin => {
                    Err(refusal::internal())
                }
            })
        };
        rejudge::transaction(state, caller, Some(user_id), change).await
    }
}

/// Changes the caller's own password, and ends every other session. A browser's session gets a new cookie,
/// and the old one is refused at once. An API client keeps its tokens.
pub(crate) struct ChangePassword {
    pub request: PasswordChange,
}

impl ChangePassword {
    /// # Errors
    /// `validation_failed`, `too_many_attempts`, `session_ended`, `account_disabled`, `account_deleted`.
    pub(crate) async fn run(
        self,
        state: &State,
        caller: &Caller,
        origin: Origin,
    ) -> Result<Option<(NewSessionCookie, CookieLifetime)>, Refusal> {
        let Self { request } = self;
        let mut verified_hash =
            step_up::verify_current(state, caller, request.current_password.clone(), &origin).await?;
        let names = (caller.username.as_str(), caller.email.as_deref());
        let new_hash =
            new_password::hash_new_password(state, request.new_password, names, "/new_password").await?;
        for _ in 0..ATTEMPTS {
            let hashes = (verified_hash, new_hash.clone());
            let cookie = matches!(caller.credential, Credential::SessionCookie { .. })
                .then(NewSessionCookie::generate);
            let digest = cookie.as_ref().map(NewSessionCookie::digest);
            let changed = replace_password(state, caller, hashes, digest, request.revoke_tokens, &origin);
            if let Replacement::Done(kept) = changed.await? {
                return Ok(cookie.zip(kept));
            }
            verified_hash =
                step_up::verify_current(state, caller, request.current_password.clone(), &origin).await?;
        }
        Err(changed_meanwhile())
    }
}

/// The outcome of replacing a password.
enum Replacement {
    /// The password was replaced. A browser's session has a new cookie.
    Done(Option<CookieLifetime>),
    /// The stored hash is no longer the one that was verified.
    Outdated,
}

async fn replace_password(
    state: &State,
    caller: &Caller,
    (verified_hash, new_hash): (String, PasswordHash),
    cookie: Option<CookieDigest>,
    revoke_tokens: bool,
    origin: &Origin,
) -> Result<Replacement, Refusal> {
    let (user_id, kept, origin) = (caller.user_id, caller.credential.session_id(), origin.clone());
    let limits = state.tokens.lifetimes.clone();
    let change = move |connection: &mut Connection, _: &Caller| {
        let changed =
            set_password::change_own(connection, user_id, &verified_hash, &new_hash, kept, &origin)?;
        if changed.is_none() {
            return Ok(Ok(Replacement::Outdated));
        }
        if revoke_tokens {
            let (all, reason) = (TokenSelection::AllOf(user_id), RevokeReason::PasswordChanged);
            personal_token::revoke(connection, all, reason, &origin)?;
        }
        let Some((id, digest)) = kept.zip(cookie) else { return Ok(Ok(Replacement::Done(None))) };
        let renewed = renewal::renew(
            connection,
            id,
            &NewSecret::Cookie(digest),
            FormerSecrets::Over,
            &limits,
            &origin,
        )?;
        renewal::publish(connection, id)?;
        Ok(Ok(Replacement::Done(renewed.map(|renewed| renewed.kept))))
    };
    rejudge::transaction(state, caller, Some(user_id), change).await
}

/// Signs out by ending sessions. A session that has already ended is not an error. Returns the IDs of those
/// that had not ended before.
pub(crate) struct SignOut {
    pub which: sessions::SessionSelection,
}

impl SignOut {
    pub(crate) async fn run(self, state: &State, origin: Origin) -> Result<Vec<Uuid>, Refusal> {
        let Self { which } = self;
        state
            .core
            .database
            .transaction(move |connection| end_sessions(connection, &which, EndReason::Logout, &origin))
            .await
            .map_err(Refusal::from)
    }
}

/// Ends the caller's own sessions. Returns the IDs of those that had not ended before.
pub(crate) struct EndOwnSessions {
    pub which: sessions::SessionSelection,
}

impl EndOwnSessions {
    /// # Errors
    /// `session_ended`, `account_disabled`, `account_deleted`.
    pub(crate) async fn run(
        self,
        state: &State,
        caller: &Caller,
        origin: Origin,
    ) -> Result<Vec<Uuid>, Refusal> {
        let Self { which } = self;
        let end = move |connection: &mut Connection, _: &Caller| {
            end_sessions(connection, &which, EndReason::EndedByUser, &origin).map(Ok)
        };
        rejudge::transaction(state, caller, Some(caller.user_id), end).await
    }
}

/// Revokes one of the caller's own personal tokens. Returns whether it had not been revoked before.
pub(crate) struct RevokeOwnToken {
    pub id: Uuid,
}

impl RevokeOwnToken {
    /// # Errors
    /// `session_ended`, `account_disabled`, `account_deleted`.
    pub(crate) async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<bool, Refusal> {
        let Self { id } = self;
        let which = TokenSelection::OneOf(caller.user_id, id);
        let revoke = move |connection: &mut Connection, _: &Caller| {
            personal_token::revoke(connection, which, RevokeReason::ByUser, &origin).map(Ok)
        };
        let revoked = rejudge::transaction(state, caller, Some(caller.user_id), revoke).await?;
        Ok(!revoked.is_empty())
    }
}

/// Creates a personal access token of the caller.
pub(crate) struct MakePersonalToken {
    pub request: NewTokenRequest,
}

impl MakePersonalToken {
    /// # Errors
    /// `permission_denied`, `insufficient_scope`, `validation_failed`, `too_many_attempts`, `session_ended`,
    /// `account_disabled`, `account_deleted`.
    pub(crate) async fn run(
        self,
        state: &State,
        caller: &Caller,
        origin: Origin,
    ) -> Result<(PlainPersonalToken, PersonalToken), Refusal> {
        let Self { request } = self;
        let mistakes = request.mistakes(state, caller).await?;
        if !mistakes.is_empty() {
            return Err(Refusal::validation(mistakes));
        }
        let ttl = token_ttl(state, request.expires_in).map_err(|error| Refusal::validation(vec![error]))?;
        check_token_scope(caller, &request.scope)?;
        throttle::count_token(state, caller, &origin).await?;
        let (plain, digest) = personal_token::mint();
        let new = NewPersonalToken {
            user_id: caller.user_id,
            name: request.name,
            digest,
            scope: request.scope,
            ttl,
        };
        // A concurrent revocation of all the user's tokens either finds this one or has already ended the
        // session.
        let insert =
            move |connection: &mut Connection, caller: &Caller| match check_token_scope(caller, &new.scope) {
                Ok(()) => personal_token::insert(connection, &new, &origin).map(Ok),
                Err(refused) => Ok(Err(refused)),
            };
        let token = rejudge::transaction(state, caller, Some(caller.user_id), insert).await?;
        Ok((plain, token))
    }
}

/// Returns the lifetime of a new token.
fn token_ttl(state: &State, expires_in: Option<i64>) -> Result<TimeDelta, FieldError> {
    let most = state.web.token_ttl_max.as_secs().try_into().unwrap_or(i64::MAX);
    let seconds = expires_in.unwrap_or(TOKEN_TTL_DEFAULT.min(most));
    if seconds <= most {
        return Ok(TimeDelta::seconds(seconds));
    }
    let detail =
        format!("{seconds} is not between 1 and {most}, the maximum that DOORWARD_TOKEN_TTL_MAX allows");
    Err(FieldError::new("/expires_in", "out_of_range", detail))
}

/// Checks that the user and the credential have everything in the new token's scope.
fn check_token_scope(caller: &Caller, scope: &[String]) -> Result<(), Refusal> {
    let denied = session::missing(Some(scope), &caller.permissions);
    if !denied.is_empty() {
        return Err(refusals::permission_denied(&denied, &caller.role));
    }
    let beyond = session::missing(Some(scope), &caller.scope);
    if !beyond.is_empty() {
        return Err(refusals::insufficient_scope(&beyond, &caller.scope, &caller.credential));
    }
    Ok(())
}
