//! Sets a user's password, or creates a one-time link with which the user sets one.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::authority::{Effect, authority, change_account, refuse_lacking};
use super::list_users::FindUser;
use crate::audit::Origin;
use crate::guard::caller::Caller;
use crate::http::fields::{Fields, FromFields};
use crate::operations::new_password;
use crate::refusal::{FieldError, Refusal, not_found};
use crate::state::State;
use crate::users::password::PlainPassword;
use crate::users::set_password::{self, EndedCredentials, LinkToken, NewPasswordLink, SetPasswordOutcome};
use crate::users::user;

/// A new password, or a request for a one-time link. Either way, the old password stops working at once.
#[derive(Clone, utoipa::ToSchema)]
pub(crate) struct PasswordReset {
    /// The new password.
    #[schema(value_type = Option<String>, format = Password, min_length = 8, max_length = 1_000)]
    pub new_password: Option<PlainPassword>,
    /// If `true`, creates a one-time link in place of a password.
    #[schema(value_type = Option<bool>)]
    #[allow(dead_code)] // for the API description: with it there is no `new_password`
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

impl PasswordReset {
    /// Returns every error of the new password, for a request that has other errors. Without others, setting
    /// the password reports them.
    pub(crate) async fn mistakes(&self, state: &State, id: Uuid) -> Result<Vec<FieldError>, Refusal> {
        let Some(password) = self.new_password.clone() else { return Ok(Vec::new()) };
        let user = state.core.database.run(move |connection| user::find(connection, id)).await?;
        let names = user.iter().flat_map(|user| [Some(user.username.as_str()), user.email.as_deref()]);
        new_password::find_errors(state, password, names.flatten(), "/new_password").await
    }
}

/// A one-time link with which a user sets a password.
pub(crate) struct CreatedLink {
    /// The link, which is shown only once.
    pub url: String,
    pub expires_at: DateTime<Utc>,
    /// The credentials that ended with the old password.
    pub ended: EndedCredentials,
}

/// Creates a one-time link with which a user sets a password. Ends every session of the user and, if
/// `revokes_tokens`, revokes every personal token.
pub(crate) struct MakePasswordLink {
    pub id: Uuid,
    pub revokes_tokens: bool,
}

impl MakePasswordLink {
    /// # Errors
    /// `not_found`, `permission_denied`, `insufficient_scope`.
    pub(crate) async fn run(
        self,
        state: &State,
        caller: &Caller,
        origin: Origin,
    ) -> Result<CreatedLink, Refusal> {
        let Self { id, revokes_tokens } = self;
        let (token, digest) = LinkToken::mint();
        let made = change_account(state, caller, id, Effect::Gives, move |connection, caller, authority| {
            let made =
                set_password::insert_link(connection, id, &digest, revokes_tokens, authority, &origin)?;
            Ok(set(made, caller))
        });
        let NewPasswordLink { expires_at, ended } = made.await?;
        let url = format!("{}/set-password/{}", state.tokens.issuer.url, token.expose());
        Ok(CreatedLink { url, expires_at, ended })
    }
}

/// Sets a user's password. Ends every session of the user and, if `revokes_tokens`, revokes every personal
/// token.
pub(crate) struct ResetPassword {
    pub id: Uuid,
    pub password: PlainPassword,
    pub revokes_tokens: bool,
}

impl ResetPassword {
    /// # Errors
    /// `not_found`, `validation_failed`, `permission_denied`, `insufficient_scope`.
    pub(crate) async fn run(
        self,
        state: &State,
        caller: &Caller,
        origin: Origin,
    ) -> Result<EndedCredentials, Refusal> {
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

fn set<T>(setting: SetPasswordOutcome<T>, caller: &Caller) -> Result<T, Refusal> {
    match setting {
        SetPasswordOutcome::Done(done) => Ok(done),
        SetPasswordOutcome::NotFound => Err(not_found()),
        SetPasswordOutcome::Denied(lacking) => Err(refuse_lacking(&lacking, caller)),
    }
}
