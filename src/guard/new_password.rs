//! A password that somebody wants to have from now on.

use super::refusal;
use super::services::Services;
use crate::problem::Problem;
use crate::users::password::{PasswordHash, PlainPassword};

impl Services {
    /// Refuses a new password for all that is wrong with it, its likeness to the account's name and address among that;
    /// hashes a good one.
    ///
    /// # Errors
    /// `validation_failed` at `pointer`; a fault of ours as a 5xx.
    pub async fn hash_new_password(
        &self,
        password: PlainPassword,
        (username, email): (&str, Option<&str>),
        pointer: &str,
    ) -> Result<PasswordHash, Problem> {
        self.refuse_flaws(&password, (username, email), pointer)?;
        self.passwords.hash(password).await.map_err(refusal::hashing)
    }

    /// The same without the hash.
    ///
    /// # Errors
    /// `validation_failed` at `pointer`.
    pub fn refuse_flaws(
        &self,
        password: &PlainPassword,
        (username, email): (&str, Option<&str>),
        pointer: &str,
    ) -> Result<(), Problem> {
        let names: Vec<&str> = std::iter::once(username).chain(email).collect();
        refusal::password_flaws(&self.passwords.flaws(password, &names), pointer)
    }
}
