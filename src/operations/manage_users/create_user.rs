//! Creates a user.

use super::authority::{held, refuse_lacking};
use super::unknown_role::{find_unknown_role, unknown_role};
use crate::audit::Origin;
use crate::database::Connection;
use crate::guard::caller::Caller;
use crate::guard::{refusals, rejudge};
use crate::http::fields::{Fields, FromFields};
use crate::operations::new_password;
use crate::refusal::{FieldError, Refusal};
use crate::state::State;
use crate::users::name::{EmailAddress, Username};
use crate::users::password::PlainPassword;
use crate::users::role;
use crate::users::user::{self, Authority, Exempt, InsertOutcome, NewUser, User};

/// An account to create.
#[derive(Clone, utoipa::ToSchema)]
pub(crate) struct NewUserRequest {
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

/// The fields of a request to create an account that were parsed without errors. The others are `None`.
#[derive(Clone)]
pub(crate) struct NewUserDraft {
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
    pub(crate) async fn mistakes(&self, state: &State) -> Result<Vec<FieldError>, Refusal> {
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
    pub(crate) fn complete(self) -> Option<NewUserRequest> {
        let Self { username, password, email, role } = self;
        Some(NewUserRequest { username: username?, password, email, role })
    }
}

/// Creates a user.
pub(crate) struct CreateUser {
    pub request: NewUserRequest,
}

impl CreateUser {
    /// # Errors
    /// `validation_failed`, `conflict`, `permission_denied`, `insufficient_scope`.
    pub(crate) async fn run(self, state: &State, caller: &Caller, origin: Origin) -> Result<User, Refusal> {
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
                InsertOutcome::Inserted(user) => Ok(user),
                InsertOutcome::NameTaken(taken) => Err(refusals::name_taken(taken)),
                InsertOutcome::UnknownRole => Err(unknown_role()),
                InsertOutcome::Denied(lacking) => Err(refuse_lacking(&lacking, caller)),
            })
        };
        rejudge::transaction(state, caller, None, insert).await
    }
}
