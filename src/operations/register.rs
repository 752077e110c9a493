//! Registers accounts, if the setting allows anyone to do that.

use crate::audit::Origin;
use crate::guard::refusals;
use crate::http::fields::{Draft, Fields, FromFields};
use crate::limits::counters::AttemptOutcome;
use crate::operations::new_password;
use crate::operations::throttle;
use crate::refusal::{self, Code, FieldError, Refusal};
use crate::state::State;
use crate::users::User;
use crate::users::name::{EmailAddress, Username};
use crate::users::password::PlainPassword;
use crate::users::role;
use crate::users::user::{self, Authority, InsertOutcome, NewUser};

/// An account to register.
#[derive(Clone, utoipa::ToSchema)]
pub(crate) struct RegisterRequest {
    /// The username, without a colon or an @.
    #[schema(value_type = String, example = "alice", min_length = 1, max_length = 150)]
    pub username: Username,
    /// The password.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1_000)]
    pub password: PlainPassword,
    /// The e-mail address, if any.
    #[schema(value_type = Option<String>, format = Email, min_length = 3, max_length = 254)]
    pub email: Option<EmailAddress>,
}

/// The fields of a request to register an account that were parsed without errors. The others are `None`.
#[derive(Clone)]
pub(crate) struct RegisterDraft {
    username: Option<Username>,
    password: Option<PlainPassword>,
    email: Option<EmailAddress>,
}

impl FromFields for RegisterDraft {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let username =
            fields.text("username").and_then(|text| fields.parsed("username", Username::parse_own(&text)));
        let password = fields.text("password").map(|text| PlainPassword::new(&text));
        let email =
            fields.optional_text("email").and_then(|text| fields.parsed("email", EmailAddress::parse(&text)));
        Some(Self { username, password, email })
    }
}

impl RegisterDraft {
    /// Returns every error of the password.
    async fn mistakes(&self, state: &State) -> Result<Vec<FieldError>, Refusal> {
        let Some(password) = self.password.clone() else { return Ok(Vec::new()) };
        let username = self.username.as_ref().map(Username::as_str);
        let names = username.into_iter().chain(self.email.as_ref().map(EmailAddress::as_str));
        new_password::find_errors(state, password, names, "/password").await
    }

    fn complete(self) -> Option<RegisterRequest> {
        let Self { username, password, email } = self;
        Some(RegisterRequest { username: username?, password: password?, email })
    }
}

/// Refuses registration if the setting does not allow it.
///
/// # Errors
/// `not_found`.
pub(crate) fn refuse_closed_registration(state: &State) -> Result<(), Refusal> {
    if state.web.registration_open {
        return Ok(());
    }
    let detail = "People cannot create their own accounts on this server. Ask an administrator for one.";
    Err(Refusal::new(Code::NotFound, detail))
}

/// Registers an account. The attempt is counted before the password is checked and hashed. A taken name
/// counts too, but a request with errors does not.
pub(crate) struct Register {
    pub draft: Draft<RegisterDraft>,
}

impl Register {
    /// # Errors
    /// `not_found` if registration is closed, `validation_failed`, `conflict`, `too_many_attempts`.
    pub(crate) async fn run(self, state: &State, origin: Origin) -> Result<User, Refusal> {
        let Self { draft } = self;
        refuse_closed_registration(state)?;
        let reservation = match throttle::reserve_registration(state, &origin).await {
            Ok(reservation) => reservation,
            // The errors that were found without checking the password are reported even then.
            Err(refused) => return Err(draft.finish(Vec::new()).err().unwrap_or(refused)),
        };
        let made = make_account(state, draft, origin).await;
        match &made {
            Err(refusal)
                if refusal.code() == Code::ValidationFailed || refusal.code().status().is_server_error() =>
            {
                throttle::release(state, reservation).await;
            }
            // The account exists even if this fails. The attempt stays counted then.
            _ => throttle::settle(state, reservation, AttemptOutcome::Failed).await.unwrap_or_default(),
        }
        made
    }
}

async fn make_account(state: &State, draft: Draft<RegisterDraft>, origin: Origin) -> Result<User, Refusal> {
    // Without another error, hashing reports those of the password.
    let mistakes = if draft.has_errors() { draft.value().mistakes(state).await? } else { Vec::new() };
    let request = draft.finish(mistakes)?.complete().ok_or_else(refusal::internal)?;
    let names = (request.username.as_str(), request.email.as_ref().map(EmailAddress::as_str));
    let hash = new_password::hash_new_password(state, request.password, names, "/password").await?;
    let new = NewUser {
        username: request.username,
        email: request.email,
        password_hash: Some(hash),
        role: role::DEFAULT.to_owned(),
    };
    let inserted = state
        .core
        .database
        .transaction(move |connection| user::insert(connection, &new, &Authority::Unlimited, &origin))
        .await?;
    match inserted {
        InsertOutcome::Inserted(user) => Ok(user),
        InsertOutcome::NameTaken(taken) => Err(refusals::name_taken(taken)),
        InsertOutcome::UnknownRole | InsertOutcome::Denied(_) => Err(refusal::internal()),
    }
}
