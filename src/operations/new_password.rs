//! A password that somebody wants to have from now on.

use crate::blocking::caller;
use crate::guard::refusals;
use crate::refusal::{FieldError, Problem};
use crate::state::State;
use crate::users::password::{PasswordHash, PlainPassword};
use crate::users::passwords::NewHash;

/// Refuses a new password for all that is wrong with it, its likeness to the account's name and address among that;
/// hashes a good one. Both happen on the hashing threads.
///
/// # Errors
/// `validation_failed` at `pointer`; a fault of ours as a 5xx.
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

/// Returns all that is wrong with a new password, for a report of further errors beside it.
///
/// # Errors
/// A fault of ours as a 5xx.
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
