//! Checks and hashes new passwords.

use serde_json::Value;
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::blocking::caller;
use crate::guard::refusals;
use crate::http::fields::{About, FieldValue, Fields};
use crate::refusal::{FieldError, Refusal};
use crate::state::State;
use crate::users::password::{PasswordHash, PlainPassword};
use crate::users::passwords::NewHash;

/// A password that was sent. Only a new one has bounds.
impl FieldValue for PlainPassword {
    fn parse(fields: &mut Fields, name: &str, value: Value) -> Option<Self> {
        String::parse(fields, name, value).map(|text| Self::new(&text))
    }

    fn describe(about: About) -> RefOr<Schema> {
        let password = SchemaFormat::KnownFormat(KnownFormat::Password);
        about.value_of(Type::String).format(Some(password)).into()
    }
}

/// Hashes a new password, or refuses it with every error, including likeness to the username or address. Both
/// happen on the hashing threads.
///
/// # Errors
/// `validation_failed` at `pointer`.
pub(crate) async fn hash_new_password(
    state: &State,
    password: PlainPassword,
    (username, email): (&str, Option<&str>),
    pointer: &str,
) -> Result<PasswordHash, Refusal> {
    let names = std::iter::once(username).chain(email).map(str::to_owned).collect();
    let claim = caller::current().claim_of_password();
    match state.core.passwords.hash_new(claim, password, names).await? {
        NewHash::Made(hash) => Ok(hash),
        NewHash::Refused(errors) => Err(refusals::invalid_password(&errors, pointer)),
    }
}

/// Returns every error of a new password, so that a caller can report them together with others.
pub(crate) async fn find_errors(
    state: &State,
    password: PlainPassword,
    names: impl Iterator<Item = &str>,
    pointer: &str,
) -> Result<Vec<FieldError>, Refusal> {
    let names = names.map(str::to_owned).collect();
    let claim = caller::current().claim_of_password();
    let errors = state.core.passwords.find_errors(claim, password, names).await?;
    Ok(refusals::password_errors(&errors, pointer))
}
