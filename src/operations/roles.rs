//! Roles and the permissions that they grant, as far as a request names them.

use crate::refusal::{FieldError, Problem};
use crate::state::State;
use crate::users::user;

/// Lists the names of the roles.
pub struct ListRoleNames;

impl ListRoleNames {
    /// # Errors
    /// A fault of ours as a 5xx.
    pub async fn run(self, state: &State) -> Result<Vec<String>, Problem> {
        let roles = state.core.database.run(user::list_roles).await?;
        Ok(roles.into_iter().map(|(name, _)| name).collect())
    }
}

/// Refuses the names that no role has: they are slips of the pen and not a lack of rights.
///
/// # Errors
/// `validation_failed` at `/scope`; a fault of ours as a 5xx.
pub async fn refuse_unknown_scope(state: &State, names: &[String]) -> Result<(), Problem> {
    let unknown = find_unknown_scope(state, names).await?;
    if unknown.is_empty() { Ok(()) } else { Err(Problem::validation(unknown)) }
}

/// Returns the errors of the names that no role has.
///
/// # Errors
/// A fault of ours as a 5xx.
pub async fn find_unknown_scope(state: &State, names: &[String]) -> Result<Vec<FieldError>, Problem> {
    let roles = state.core.database.run(user::list_roles).await?;
    let is_known = |name: &&String| roles.iter().any(|(_, permissions)| permissions.contains(name));
    let unknown = names.iter().filter(|name| !is_known(name)).map(|unknown| {
        let detail = format!("`{unknown}` is no permission known here");
        FieldError::new("/scope", "unknown_scope", detail)
    });
    Ok(unknown.collect())
}
