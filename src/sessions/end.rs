//! The end of sessions: their rows, their refresh tokens' rows and the feed, written together.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::json;
use uuid::Uuid;

use crate::audit::event::{self, EventType, Origin, Subject};
use crate::database::now;
use crate::database::schema::{former_secrets, refresh_tokens, sessions};
use crate::tokens::revocation::{self, Revoked};

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its own client signed out.
    Logout,
    /// Its user ended it from another session.
    EndedByUser,
    /// An admin ended it.
    EndedByAdmin,
    /// Its user changed the password.
    PasswordChanged,
    /// An admin set the password anew.
    PasswordReset,
    /// A spent refresh token of it was used again.
    RefreshTokenReused,
    /// Its user began more sessions than a user may have.
    TooManySessions,
    /// Its browser signed in again.
    SignedInAgain,
    /// Its user is no more.
    AccountDeleted,
    /// The database was restored to an earlier state.
    DatabaseRestored,
    /// Its refresh token was renewed as often as its numbers allow.
    RenewalsUsedUp,
}

impl EndReason {
    const ALL: [Self; 11] = [
        Self::Logout,
        Self::EndedByUser,
        Self::EndedByAdmin,
        Self::PasswordChanged,
        Self::PasswordReset,
        Self::RefreshTokenReused,
        Self::TooManySessions,
        Self::SignedInAgain,
        Self::AccountDeleted,
        Self::DatabaseRestored,
        Self::RenewalsUsedUp,
    ];

    /// The reason of this name.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// The name in the database and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::EndedByUser => "ended_by_user",
            Self::EndedByAdmin => "ended_by_admin",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::TooManySessions => "too_many_sessions",
            Self::SignedInAgain => "signed_in_again",
            Self::AccountDeleted => "account_deleted",
            Self::DatabaseRestored => "database_restored",
            Self::RenewalsUsedUp => "renewals_used_up",
        }
    }
}

/// Which sessions to end.
#[derive(Clone, Debug)]
pub enum Which {
    /// These, where they have not ended.
    These(Vec<Uuid>),
    /// Every one of a user.
    AllOf(Uuid),
    /// Every one of a user but this one.
    OthersOf(Uuid, Uuid),
    /// One, if it is this user's.
    OneOf(Uuid, Uuid),
    /// The one whose refresh token has, or had, random bytes of this digest.
    OfRefreshToken(Uuid, [u8; 32]),
    /// Every session there is; with a time, those begun by then.
    Every(Option<DateTime<Utc>>),
}

/// Past as many, the feed says `everything`: nodes forget that faster than they read a row for each.
const NAMED_EACH: usize = 1_000;

/// Ends sessions, in the caller's transaction: their rows, their refresh tokens' rows and the feed are written
/// together. Gives the ids of those that had not ended before.
///
/// # Errors
/// PostgreSQL's.
pub fn end_sessions(
    connection: &mut PgConnection,
    which: &Which,
    reason: EndReason,
    origin: &Origin,
) -> QueryResult<Vec<Uuid>> {
    let ids = find_unended(connection, which)?;
    let mut ended = Vec::with_capacity(ids.len());
    for batch in ids.chunks(NAMED_EACH) {
        ended.extend(end_batch(connection, batch, reason, origin, ids.len() <= NAMED_EACH)?);
    }
    if ids.len() > NAMED_EACH {
        revocation::insert_change(connection, &Revoked::Everything, reason.as_str())?;
    }
    Ok(ended)
}

fn end_batch(
    connection: &mut PgConnection,
    ids: &[Uuid],
    reason: EndReason,
    origin: &Origin,
    names_each: bool,
) -> QueryResult<Vec<Uuid>> {
    // The refresh token's row first, as rotation locks it first.
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
            revocation::insert(connection, &Revoked::Session(*id), reason.as_str(), *expires_at)?;
        }
        let origin = Origin { session_id: Some(*id), ..origin.clone() };
        let details = json!({ "reason": reason.as_str(), "device": device });
        event::insert(
            connection,
            &origin,
            EventType::SessionEnded,
            Subject { id: *user_id, name: None },
            &details,
        )?;
    }
    Ok(ended.into_iter().map(|(id, ..)| id).collect())
}

/// The ids of those that have not ended.
///
/// # Errors
/// PostgreSQL's.
pub fn find_unended(connection: &mut PgConnection, which: &Which) -> QueryResult<Vec<Uuid>> {
    let mut query = sessions::table.filter(sessions::ended_at.is_null()).select(sessions::id).into_boxed();
    query = match which {
        Which::These(ids) => query.filter(sessions::id.eq_any(ids)),
        Which::AllOf(user_id) => query.filter(sessions::user_id.eq(user_id)),
        Which::OthersOf(user_id, kept) => {
            query.filter(sessions::user_id.eq(user_id).and(sessions::id.ne(kept)))
        }
        Which::OneOf(user_id, id) => query.filter(sessions::user_id.eq(user_id).and(sessions::id.eq(id))),
        Which::OfRefreshToken(id, digest) => {
            // No index has the digests of refresh tokens: under an OR, PostgreSQL runs each subquery by itself, so each
            // names the session too.
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
        Which::Every(None) => query,
        Which::Every(Some(by)) => query.filter(sessions::created_at.le(by)),
    };
    query.order(sessions::id).load(connection)
}
