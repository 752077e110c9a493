//! Checks, in the transaction of a change, that the caller's personal token and account are as the guard saw
//! them.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Uuid as SqlUuid};
use uuid::Uuid;

#[derive(QueryableByName)]
struct Unchanged {
    #[diesel(sql_type = Bool)]
    is_unchanged: bool,
}

/// Returns true if the personal token is still valid, and its user is still active and at `version`. If
/// `locks`, both rows stay locked until the transaction ends. Otherwise the caller must have locked the
/// user's row.
pub(crate) fn is_unchanged(
    connection: &mut PgConnection,
    (user_id, version): (Uuid, i64),
    token_id: Uuid,
    locks: bool,
) -> QueryResult<bool> {
    let query = format!(
        "SELECT u.status = 'active' AND u.version = $3 AND t.revoked_at IS NULL AND t.expires_at > now()
            AS is_unchanged
         FROM users AS u JOIN personal_tokens AS t ON t.user_id = u.id WHERE u.id = $1 AND t.id = $2{}",
        if locks { " FOR SHARE OF u, t" } else { "" }
    );
    let found: Option<Unchanged> = diesel::sql_query(query)
        .bind::<SqlUuid, _>(user_id)
        .bind::<SqlUuid, _>(token_id)
        .bind::<BigInt, _>(version)
        .get_result(connection)
        .optional()?;
    Ok(found.is_some_and(|found| found.is_unchanged))
}
