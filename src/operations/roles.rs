//! Lists roles, and checks the names of permissions in a request.

use crate::refusal::{FieldError, Refusal};
use crate::state::State;
use crate::users::role;

/// Lists the names of the roles.
pub(crate) struct ListRoleNames;

impl ListRoleNames {
    pub(crate) async fn run(self, state: &State) -> Result<Vec<String>, Refusal> {
        let roles = state.core.database.run(role::list).await?;
        Ok(roles.into_iter().map(|(name, _)| name).collect())
    }
}

/// Refuses names that no role has. They are typing mistakes rather than missing permissions.
///
/// # Errors
/// `validation_failed` at `/scope`.
pub(crate) async fn refuse_unknown_scope(state: &State, names: &[String]) -> Result<(), Refusal> {
    let unknown = find_unknown_scope(state, names).await?;
    if unknown.is_empty() { Ok(()) } else { Err(Refusal::validation(unknown)) }
}

/// Returns the field errors for names that no role has.
pub(crate) async fn find_unknown_scope(state: &State, names: &[String]) -> Result<Vec<FieldError>, Refusal> {
    let roles = state.core.database.run(role::list).await?;
    let is_known = |name: &&String| roles.iter().any(|(_, permissions)| permissions.contains(name));
    let unknown = names.iter().filter(|name| !is_known(name)).map(|unknown| {
        let detail = format!("`{unknown}` is not a known permission");
        FieldError::new("/scope", "unknown_scope", detail)
    });
    Ok(unknown.collect())
}
