//! Making an account for oneself, where the setting lets anybody do it.

use super::fields::{Fields, FromFields};
use super::refusal;
use super::services::Services;
use crate::audit::Origin;
use crate::problem::{Code, Problem};
use crate::users::User;
use crate::users::attempts::Outcome;
use crate::users::name::{EmailAddress, Username};
use crate::users::password::PlainPassword;
use crate::users::user::{self, Authority, Insertion, NewUser};

/// The role of an account that somebody makes for himself.
const ROLE: &str = "member";

/// An account to be made by its own user.
#[derive(Clone, utoipa::ToSchema)]
pub struct RegisterRequest {
    /// The username, without a colon or an @.
    #[schema(value_type = String, example = "alice", min_length = 1, max_length = 150)]
    pub username: Username,
    /// The password.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1_000)]
    pub password: PlainPassword,
    /// The address, if any.
    #[schema(value_type = Option<String>, format = Email, min_length = 3, max_length = 254)]
    pub email: Option<EmailAddress>,
}

impl FromFields for RegisterRequest {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let username = fields.text("username").and_then(|text| fields.own_username("username", &text));
        let password = fields.text("password").map(|text| PlainPassword::new(&text));
        let email = fields.optional_text("email").and_then(|text| fields.email("email", &text));
        Some(Self { username: username?, password: password?, email })
    }
}

impl Services {
    /// Refuses where nobody may make an account for himself.
    ///
    /// # Errors
    /// `not_found`.
    pub fn refuse_closed_registration(&self) -> Result<(), Problem> {
        if self.registration_open {
            return Ok(());
        }
        let detail = "Nobody can make an account for himself here. Ask an administrator for one.";
        Err(Problem::new(Code::NotFound, detail))
    }

    /// Makes an account. It counts before its password is checked and hashed. A name that is taken counts too; a password
    /// that is refused does not.
    ///
    /// # Errors
    /// `not_found` where it is closed, `validation_failed`, `conflict`, `too_many_attempts`; a fault of ours as a 5xx.
    pub async fn register(&self, request: RegisterRequest, origin: Origin) -> Result<User, Problem> {
        self.refuse_closed_registration()?;
        let reservation = self.reserve_registration(&origin).await?;
        let made = self.make_account(request, origin).await;
        match &made {
            Err(problem)
                if problem.code() == Code::ValidationFailed || problem.code().status().is_server_error() =>
            {
                self.give_back(reservation).await;
            }
            // The account stands already where this fails; the try counts as it is.
            _ => self.settle(reservation, Outcome::Failed).await.unwrap_or_default(),
        }
        made
    }

    async fn make_account(&self, request: RegisterRequest, origin: Origin) -> Result<User, Problem> {
        let names = (request.username.as_str(), request.email.as_ref().map(EmailAddress::as_str));
        let hash = self.hash_new_password(request.password, names, "/password").await?;
        let new = NewUser {
            username: request.username,
            email: request.email,
            password_hash: Some(hash),
            role: ROLE.to_owned(),
        };
        let inserted = self
            .database
            .transaction(move |connection| user::insert(connection, &new, &Authority::Unlimited, &origin))
            .await
            .map_err(refusal::database)?;
        match inserted {
            Insertion::Inserted(user) => Ok(user),
            Insertion::NameTaken(taken) => Err(refusal::name_taken(taken)),
            Insertion::UnknownRole | Insertion::Denied(_) => Err(refusal::internal()),
        }
    }
}
