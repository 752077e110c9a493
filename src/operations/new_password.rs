//! Checks and hashes new passwords.

use crate::blocking::caller;
use crate::guard::refusals;
use crate::refusal::{FieldError, Problem};
use crate::state::State;
use crate::users::password::{PasswordHash, PlainPassword};
use crate::users::passwords::NewHash;

/// Hashes a new password, or refuses it with every error, including likeness to the username or address. Both
/// happen on the hashing threads.
///
/// # Errors
/// `validation_failed` at `pointer`.
pub async fn hash_new_password(
    state: &State,
    password: PlainPassword,
    (username, email): (&str, Option<&str>),
    pointer: &str,
) -> Result<PasswordHash, Problem> {
    let names = std::iter::once(username).chain(email).map(str::to_owned).collect();
    let claim = caller::current().claim_of_password();
    match state.core.passwords.hash_new(claim, password, names).await? {
        NewHash::Made(hash) => Ok(hash),
        NewHash::Refused(errors) => Err(refusals::password_flaws(&errors, pointer)),
    }
}

/// Returns every error of a new password, so that a caller can report them together with others.
pub async fn find_errors(
    state: &State,
    password: PlainPassword,
    names: impl Iterator<Item = &str>,
    pointer: &str,
) -> Result<Vec<FieldError>, Problem> {
    let names = names.map(str::to_owned).collect();
    let claim = caller::current().claim_of_password();
    let flaws = state.core.passwords.find_flaws(claim, password, names).await?;
    Ok(refusals::password_errors(&flaws, pointer))
}
