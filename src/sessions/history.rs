//! Reads the history of a session from its row, for explanations. Reading it does not count as a use.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::end::EndReason;
use super::renewal::GENERATIONS_LEFT;
use super::session::{SessionKind, browser_idle_end};
use crate::database::now;
use crate::database::schema::{former_secrets, refresh_tokens, sessions, users};
use crate::digest::Digest;
use crate::tokens::ended::Ended;
use crate::tokens::owner::UserStatus;

/// The history of a session.
#[derive(Clone, Debug)]
pub struct SessionHistory {
    pub id: Uuid,
    /// `None` if the account was deleted.
    pub user_id: Option<Uuid>,
    pub username: Option<String>,
    pub user_status: Option<UserStatus>,
    pub kind: SessionKind,
    /// The name that the device gave itself.
    pub device: Option<String>,
    /// The client address of the sign-in.
    pub address: Option<String>,
    /// The time of the sign-in.
    pub created_at: DateTime<Utc>,
    /// The time of the last use, about 10 s behind at most.
    pub last_used_at: DateTime<Utc>,
    /// The time when the session expires, or expired, if it is not used again.
    pub expires_at: DateTime<Utc>,
    /// True if `expires_at` has passed.
    pub is_expired: bool,
    pub ended: Option<Ended<EndReason>>,
    /// The number of refreshes, and the time of the last one.
    pub refreshed: Option<(i32, Option<DateTime<Utc>>)>,
    /// The times when the latest secrets were replaced, in ascending order.
    pub renewed_at: Vec<DateTime<Utc>>,
}

type Of = (Uuid, SessionKind, Option<String>, Option<String>);
type Times = (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>, Option<DateTime<Utc>>, DateTime<Utc>);
type EndColumns = (Option<DateTime<Utc>>, Option<EndReason>);
type User = Option<(Uuid, String, UserStatus)>;
type Refresh = Option<((i32, i32), Vec<DateTime<Utc>>, DateTime<Utc>)>;
type Row = (Of, Times, EndColumns, User, Refresh);

/// Returns the history of a session. With a digest, it returns the history only if the session's refresh
/// token has, or had, random bytes with this SHA-256.
pub fn find_history(
    connection: &mut PgConnection,
    id: Uuid,
    secret_digest: Option<Digest>,
) -> QueryResult<Option<SessionHistory>> {
    let mut query = sessions::table
        .left_join(users::table)
        .left_join(refresh_tokens::table)
        .filter(sessions::id.eq(id))
        .select((
            (sessions::id, sessions::kind, sessions::device, sessions::address),
            (sessions::created_at, sessions::last_used_at, sessions::expires_at, browser_idle_end(), now()),
            (sessions::ended_at, sessions::ended_reason),
            (users::id, users::username, users::status).nullable(),
            (
                (refresh_tokens::generation, refresh_tokens::renewals),
                refresh_tokens::rotated_at,
                refresh_tokens::expires_at,
            )
                .nullable(),
        ))
        .into_boxed();
    if let Some(digest) = secret_digest {
        let former = former_secrets::table
            .filter(former_secrets::digest.eq(digest.as_slice().to_vec()))
            .select(former_secrets::session_id);
        let is_own =
            refresh_tokens::secret_digest.eq(digest.as_slice().to_vec()).or(sessions::id.eq_any(former));
        query = query.filter(is_own);
    }
    let row: Option<Row> = query.first(connection).optional()?;
    let Some(row) = row else { return Ok(None) };
    let former = former_secrets::table
        .filter(former_secrets::session_id.eq(id))
        .order(former_secrets::successor)
        .select((former_secrets::replaced_at, former_secrets::rotated_at))
        .load(connection)?;
    Ok(Some(read(row, former)))
}

/// Builds the history from a session's row. `former` has the time of replacement and the rotation times of
/// each former secret.
fn read(row: Row, former: Vec<(DateTime<Utc>, Vec<DateTime<Utc>>)>) -> SessionHistory {
    let (of, times, (ended_at, reason), user, refresh) = row;
    let rotated_before = former.iter().filter_map(|(_, rotated)| rotated.first().copied()).max();
    let renewed_at = former.into_iter().map(|(replaced_at, _)| replaced_at).collect();
    let (id, kind, device, address) = of;
    let (created_at, used, ends, browser_ends, now) = times;
    let idle_ends = refresh.as_ref().map(|(.., expires_at)| *expires_at).or(browser_ends);
    let refreshed = refresh.map(|((generation, renewals), rotated, _)| {
        let count = generation - 1 - renewals * GENERATIONS_LEFT;
        (count, rotated.first().copied().max(rotated_before))
    });
    let rotated = refreshed.and_then(|(_, last)| last);
    let expires_at = idle_ends.map_or(ends, |idle_ends| ends.min(idle_ends));
    SessionHistory {
        id,
        user_id: user.as_ref().map(|(id, ..)| *id),
        username: user.as_ref().map(|(_, name, _)| name.clone()),
        user_status: user.map(|(.., status)| status),
        kind,
        device,
        address,
        created_at,
        last_used_at: rotated.map_or(used, |rotated| used.max(rotated)),
        expires_at,
        is_expired: expires_at <= now,
        ended: Ended::of_columns(ended_at, reason),
        refreshed,
        renewed_at,
    }
}
