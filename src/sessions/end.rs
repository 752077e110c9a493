//! Ends sessions. Their rows, their refresh tokens' rows and the feed are written together.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::audit::{EventDetails, Origin, Subject, event};
use crate::database::named::named;
use crate::database::now;
use crate::database::schema::{former_secrets, refresh_tokens, sessions};
use crate::digest::Digest;
use crate::tokens::revocation::{self, Revocation};

named! {
    /// The reason why a session ended.
    pub enum EndReason {
        /// The session's own client signed out.
        Logout = "logout",
        /// The user ended it from another session.
        EndedByUser = "ended_by_user",
        EndedByAdmin = "ended_by_admin",
        /// The user changed their password.
        PasswordChanged = "password_changed",
        /// An administrator set a new password.
        PasswordReset = "password_reset",
        /// A refresh token that had already been used was presented again.
        RefreshTokenReused = "refresh_token_reused",
        /// The user had more sessions than the limit allows.
        TooManySessions = "too_many_sessions",
        /// The browser signed in again.
        SignedInAgain = "signed_in_again",
        /// The account was deleted.
        AccountDeleted = "account_deleted",
        /// The database was restored to an earlier state.
        DatabaseRestored = "database_restored",
        /// The session was renewed as often as its generation numbers allow.
        RenewalsUsedUp = "renewals_used_up",
    }
}

/// A selection of sessions to end.
#[derive(Clone, Debug)]
pub enum SessionSelection {
    /// These sessions.
    These(Vec<Uuid>),
    /// All sessions of a user.
    AllOf(Uuid),
    /// All sessions of a user except this one.
    OthersOf(Uuid, Uuid),
    /// This session, if it belongs to the user.
    OneOf(Uuid, Uuid),
    /// This session, if its refresh token has, or had, random bytes with this SHA-256.
    OfRefreshToken(Uuid, Digest),
    /// All sessions. With a time, only those that started by then.
    Every(Option<DateTime<Utc>>),
}

/// Above this number the feed publishes one `everything` event. Nodes clear their caches faster than they
/// read a row for each session.
const NAMED_EACH: usize = 1_000;

/// Ends sessions, in the caller's transaction. Returns the IDs of those that had not ended before.
pub fn end_sessions(
    connection: &mut PgConnection,
    which: &SessionSelection,
    reason: EndReason,
    origin: &Origin,
) -> QueryResult<Vec<Uuid>> {
    let ids = find_unended(connection, which)?;
    let mut ended = Vec::with_capacity(ids.len());
    for batch in ids.chunks(NAMED_EACH) {
        ended.extend(end_batch(connection, batch, &reason, origin, ids.len() <= NAMED_EACH)?);
    }
    if ids.len() > NAMED_EACH {
        revocation::insert_change(connection, &Revocation::Everything, reason.as_str())?;
    }
    Ok(ended)
}

fn end_batch(
    connection: &mut PgConnection,
    ids: &[Uuid],
    reason: &EndReason,
    origin: &Origin,
    names_each: bool,
) -> QueryResult<Vec<Uuid>> {
    // Lock the refresh token's row first, as rotation does.
    diesel::update(refresh_tokens::table)
        .filter(refresh_tokens::session_id.eq_any(ids).and(refresh_tokens::ended_at.is_null()))
        .set((
            refresh_tokens::ended_at.eq(now().nullable()),
            refresh_tokens::ended_reason.eq(reason.as_str()),
        ))
        .execute(connection)?;
    type Ended = (Uuid, Option<Uuid>, Option<String>, DateTime<Utc>);
    let ended: Vec<Ended> = diesel::update(sessions::table)
        .filter(sessions::id.eq_any(ids).and(sessions::ended_at.is_null()))
        .set((sessions::ended_at.eq(now().nullable()), sessions::ended_reason.eq(reason.as_str())))
        .returning((sessions::id, sessions::user_id, sessions::device, sessions::expires_at))
        .get_results(connection)?;
    for (id, user_id, device, expires_at) in &ended {
        if names_each {
            revocation::insert(connection, &Revocation::Session(*id), reason.as_str(), *expires_at)?;
        }
        let origin = Origin { session_id: Some(*id), ..origin.clone() };
        let details = EventDetails::SessionEnded { reason: reason.to_string(), device: device.clone() };
        event::insert(connection, &origin, Subject { id: *user_id, name: None }, &details)?;
    }
    Ok(ended.into_iter().map(|(id, ..)| id).collect())
}

/// Returns the IDs of the selected sessions that have not ended.
pub fn find_unended(connection: &mut PgConnection, which: &SessionSelection) -> QueryResult<Vec<Uuid>> {
    let mut query = sessions::table.filter(sessions::ended_at.is_null()).select(sessions::id).into_boxed();
    query = match which {
        SessionSelection::These(ids) => query.filter(sessions::id.eq_any(ids)),
        SessionSelection::AllOf(user_id) => query.filter(sessions::user_id.eq(user_id)),
        SessionSelection::OthersOf(user_id, kept) => {
            query.filter(sessions::user_id.eq(user_id).and(sessions::id.ne(kept)))
        }
        SessionSelection::OneOf(user_id, id) => {
            query.filter(sessions::user_id.eq(user_id).and(sessions::id.eq(id)))
        }
        SessionSelection::OfRefreshToken(id, digest) => {
            // Refresh tokens have no index on their digests. PostgreSQL runs each subquery of an OR
            // separately, so each subquery names the session too.
            let genuine = refresh_tokens::table
                .filter(refresh_tokens::session_id.eq(id))
                .filter(refresh_tokens::secret_digest.eq(digest.as_slice()))
                .select(refresh_tokens::session_id);
            let former = former_secrets::table
                .filter(former_secrets::session_id.eq(id))
                .filter(former_secrets::digest.eq(digest.as_slice()))
                .select(former_secrets::session_id);
            let is_genuine = sessions::id.eq_any(genuine).or(sessions::id.eq_any(former));
            query.filter(sessions::id.eq(id).and(is_genuine))
        }
        SessionSelection::Every(None) => query,
        SessionSelection::Every(Some(by)) => query.filter(sessions::created_at.le(by)),
    };
    query.order(sessions::id).load(connection)
}
