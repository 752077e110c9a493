//! Steps up a session. The user has given the password again, so the time of sign-in is now, and the secret
//! is replaced.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::renewal::{self, CookieLifetime, FormerSecrets, NewSecret};
use super::session::{Grant, SessionLimits};
use super::session_state::{VerifiedChange, find_invalidation};
use crate::audit::{EventDetails, Origin, Subject, event};
use crate::database::now;
use crate::database::schema::{roles, sessions, users};
use crate::tokens::revocation::{self, Revocation};

/// A session after a step-up.
#[derive(Clone, Debug)]
pub struct SteppedUp {
    /// The data for its access token.
    pub grant: Grant,
    pub kept: CookieLifetime,
}

/// Sets the session's time of sign-in to now and replaces its secret, in the caller's transaction. Tokens
/// must be issued from the returned data, which this transaction read.
pub(crate) fn step_up(
    connection: &mut PgConnection,
    id: Uuid,
    (user_id, verified_hash): (Uuid, &str),
    secret: &NewSecret,
    limits: &SessionLimits,
    origin: &Origin,
) -> QueryResult<VerifiedChange<SteppedUp>> {
    if let Some(invalidation) = find_invalidation(connection, user_id, Some(id))? {
        return Ok(VerifiedChange::Invalidated(invalidation));
    }
    let user: Option<(String, i64, Vec<String>)> = users::table
        .inner_join(roles::table)
        .filter(users::id.eq(user_id).and(users::password_hash.eq(verified_hash)))
        .select((users::username, users::version, roles::permissions))
        .first(connection)
        .optional()?;
    let Some((username, version, permissions)) = user else { return Ok(VerifiedChange::Outdated) };
    let renewed = renewal::renew(connection, id, secret, FormerSecrets::Superseded, limits, origin)?;
    // The session has just ended. The next check finds the reason.
    let Some(renewed) = renewed else { return Ok(VerifiedChange::Outdated) };
    let (auth_time, session_scope): (DateTime<Utc>, Option<Vec<String>>) =
        diesel::update(sessions::table.find(id))
            .set(sessions::auth_time.eq(now()))
            .returning((sessions::auth_time, sessions::scope))
            .get_result(connection)?;
    revocation::insert_change(connection, &Revocation::SessionChanged(id), "stepped_up")?;
    let subject = Subject { id: Some(user_id), name: Some(&username) };
    event::insert(connection, origin, subject, &EventDetails::SteppedUp {})?;
    let grant = Grant {
        session_id: id,
        user_id,
        username,
        version,
        permissions,
        session_scope,
        auth_time,
        generation: renewed.generation,
        refresh_expires_at: renewed.idle_ends,
        issued_at: auth_time,
    };
    Ok(VerifiedChange::Done(SteppedUp { grant, kept: renewed.kept }))
}
