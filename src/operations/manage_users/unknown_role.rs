//! Refuses roles that do not exist.

use crate::refusal::{FieldError, Refusal};
use crate::state::State;
use crate::users::role;

/// Returns the field error for a role that does not exist.
pub(super) async fn find_unknown_role(state: &State, role: Option<&str>) -> Result<Vec<FieldError>, Refusal> {
    let Some(role) = role.map(str::to_owned) else { return Ok(Vec::new()) };
    let found = state.core.database.run(move |connection| role::find_permissions(connection, &role)).await?;
    Ok(if found.is_none() { vec![unknown_role_error()] } else { Vec::new() })
}

/// Returns the error for a search for a role that does not exist.
pub(super) async fn find_unknown_filter(
    state: &State,
    role: Option<&str>,
) -> Result<Option<FieldError>, Refusal> {
    let Some(role) = role else { return Ok(None) };
    let roles = state.core.database.run(role::list).await?;
    let names: Vec<&str> = roles.iter().map(|(name, _)| name.as_str()).collect();
    if names.contains(&role) {
        return Ok(None);
    }
    let detail = format!("send one of `{}`, or leave it out", names.join("`, `"));
    Ok(Some(FieldError::new("/role", "unknown_role", detail)))
}

pub(super) fn unknown_role() -> Refusal {
    Refusal::validation(vec![unknown_role_error()])
}

fn unknown_role_error() -> FieldError {
    let detail = "no such role; the built-in roles are viewer, member and admin".to_owned();
    FieldError::new("/role", "unknown_role", detail)
}
