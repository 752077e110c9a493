//! Rotates refresh tokens that a step-up has replaced. They keep working, with the sign-in time from before
//! the step-up, until the grace period after the first use of a later token has passed. After that,
//! presenting one counts as a replay.

use chrono::{DateTime, Utc};
use diesel::data_types::PgInterval;
use diesel::prelude::*;
use diesel::sql_types::{
    Array, BigInt, Binary, Integer, Interval, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use uuid::Uuid;

use super::end::EndReason;
use super::renewal;
use super::rotate::{PresentedToken, Rotation};
use super::session::{Grant, SessionLimits, interval};
use crate::audit::{EventDetails, Origin, Subject, event};
use crate::database::schema::{former_secrets, refresh_tokens, sessions};
use crate::database::{now, transaction};
use crate::tokens::ended::Ended;
use crate::tokens::revocation::{self, Revocation};

/// The row that is read under the lock on the session's refresh token, with the outcome.
#[derive(QueryableByName)]
struct FormerToken {
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = Nullable<Integer>)]
    generation: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    successor: Option<i32>,
    #[diesel(sql_type = Nullable<Array<Timestamptz>>)]
    rotated_at: Option<Vec<DateTime<Utc>>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    auth_time: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    refresh_expires_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    renewed_expires_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    session_expires_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    ended_reason: Option<EndReason>,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    session_scope: Option<Vec<String>>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    user_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    username: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    version: Option<i64>,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    permissions: Option<Vec<String>>,
    #[diesel(sql_type = Timestamptz)]
    issued_at: DateTime<Utc>,
}

/// Runs the checks of the statement in `rotate`, in the same order, and also checks the secret.
const DECIDE: &str = "
    SELECT CASE
            WHEN f.digest IS NULL AND g.generation >= t.first_generation THEN 'unknown'
            WHEN t.ended_at IS NOT NULL THEN 'ended'
            WHEN t.expires_at <= now() THEN 'expired'
            WHEN f.digest IS NULL OR f.is_over OR coalesce(f.superseded_at + g.grace <= now(), false) THEN 'reused'
            WHEN g.generation < f.generation
                AND NOT (g.grace > interval '0'
                    AND coalesce(f.rotated_at[f.generation - g.generation] > now() - g.grace, false))
                AND NOT (g.generation = f.generation - 1 AND t.used_generation < f.generation)
                THEN 'reused'
            WHEN u.id IS NULL THEN 'account_deleted'
            WHEN u.status <> 'active' THEN 'account_disabled'
            WHEN NOT (coalesce(g.scope <@ r.permissions, true) AND coalesce(g.scope <@ s.scope, true))
                THEN 'scope_refused'
            WHEN g.generation < f.generation THEN 'repeated'
            ELSE 'rotated'
        END AS outcome, f.generation, f.successor, f.rotated_at, f.auth_time, t.expires_at AS refresh_expires_at,
        least(now() + g.refresh_ttl, s.expires_at) AS renewed_expires_at, s.expires_at AS session_expires_at,
        t.ended_at, t.ended_reason, s.scope AS session_scope, u.id AS user_id, u.username, u.version, r.permissions,
        now() AS issued_at
    FROM (SELECT $1 AS session_id, $2 AS digest, $3 AS generation, $4 AS scope, $5 AS grace, $6 AS refresh_ttl) AS g
        JOIN refresh_tokens AS t ON t.session_id = g.session_id
        JOIN sessions AS s ON s.id = t.session_id
        LEFT JOIN former_secrets AS f ON f.session_id = t.session_id AND f.digest = g.digest
            AND f.generation IS NOT NULL
        LEFT JOIN users AS u ON u.id = s.user_id
        LEFT JOIN roles AS r ON r.name = u.role";

/// Rotates a refresh token that is not in the session's current chain. It runs in a transaction that locks
/// the session's refresh token.
pub fn rotate_former(
    connection: &mut PgConnection,
    presented: &PresentedToken,
    limits: &SessionLimits,
    origin: &Origin,
) -> QueryResult<Rotation> {
    transaction(connection, |connection| {
        let id = presented.session_id;
        // All code that rotates or replaces a refresh token locks this row.
        let row = refresh_tokens::table.find(id).select(refresh_tokens::session_id).for_no_key_update();
        if row.first::<Uuid>(connection).optional()?.is_none() {
            return Ok(Rotation::Unknown);
        }
        let found = find(connection, presented, limits)?;
        write(connection, presented, &found, origin)?;
        Ok(found.rotation(presented))
    })
}

fn find(
    connection: &mut PgConnection,
    presented: &PresentedToken,
    limits: &SessionLimits,
) -> QueryResult<FormerToken> {
    let interval: fn(std::time::Duration) -> PgInterval = interval;
    diesel::sql_query(DECIDE)
        .bind::<SqlUuid, _>(presented.session_id)
        .bind::<Binary, _>(presented.secret_digest.as_slice())
        .bind::<Integer, _>(presented.generation)
        .bind::<Nullable<Array<Text>>, _>(&presented.scope)
        .bind::<Interval, _>(interval(limits.refresh_grace))
        .bind::<Interval, _>(interval(limits.refresh_ttl))
        .get_result(connection)
}

fn write(
    connection: &mut PgConnection,
    presented: &PresentedToken,
    found: &FormerToken,
    origin: &Origin,
) -> QueryResult<()> {
    let id = presented.session_id;
    let (presented_generation, live_generation) = (presented.generation, found.generation);
    let details = match found.outcome.as_str() {
        "reused" => {
            end(connection, id, found.session_expires_at)?;
            EventDetails::RefreshTokenReused { presented_generation, live_generation }
        }
        "rotated" => return record_use(connection, presented, found),
        "repeated" => {
            record_use(connection, presented, found)?;
            EventDetails::RefreshRepeated { presented_generation, live_generation }
        }
        _ => return Ok(()),
    };
    let subject = Subject { id: found.user_id, name: found.username.as_deref() };
    let origin = Origin { session_id: Some(id), ..origin.clone() };
    event::insert(connection, &origin, subject, &details)
}

/// Ends the session, whose refresh token the caller has locked.
fn end(connection: &mut PgConnection, id: Uuid, matters_until: DateTime<Utc>) -> QueryResult<()> {
    let reason = EndReason::RefreshTokenReused;
    let reason = reason.as_str();
    diesel::update(refresh_tokens::table.find(id))
        .set((refresh_tokens::ended_at.eq(now().nullable()), refresh_tokens::ended_reason.eq(reason)))
        .execute(connection)?;
    diesel::update(sessions::table.find(id).filter(sessions::ended_at.is_null()))
        .set((sessions::ended_at.eq(now().nullable()), sessions::ended_reason.eq(reason)))
        .execute(connection)?;
    revocation::insert(connection, &Revocation::Session(id), reason, matters_until)
}

/// Rotates the former token if it is due, and starts the grace period of earlier ones.
fn record_use(
    connection: &mut PgConnection,
    presented: &PresentedToken,
    found: &FormerToken,
) -> QueryResult<()> {
    let id = presented.session_id;
    if found.outcome == "rotated" && presented.rotate {
        let mut rotated_at = found.rotated_at.clone().unwrap_or_default();
        rotated_at.insert(0, found.issued_at);
        rotated_at.truncate(16);
        diesel::update(former_secrets::table.find(presented.secret_digest.as_slice()))
            .set((
                former_secrets::generation.eq(Some(found.next(presented))),
                former_secrets::rotated_at.eq(rotated_at),
            ))
            .execute(connection)?;
    }
    // The session is in use, so neither of its chains may expire.
    let is_due = found.outcome == "rotated" || !presented.rotate;
    let expires_at = if is_due { found.renewed_expires_at } else { found.refresh_expires_at };
    diesel::update(refresh_tokens::table.find(id))
        .set(refresh_tokens::expires_at.eq(expires_at))
        .execute(connection)?;
    diesel::update(refresh_tokens::table.find(id))
        .filter(refresh_tokens::used_generation.lt(presented.generation))
        .set(refresh_tokens::used_generation.eq(presented.generation))
        .execute(connection)?;
    if renewal::supersede(connection, id, found.successor)? {
        renewal::publish(connection, id)?;
    }
    Ok(())
}

impl FormerToken {
    /// Returns the generation after the presented one. It stays at the last generation reserved for this
    /// secret.
    fn next(&self, presented: &PresentedToken) -> i32 {
        let last = self.successor.unwrap_or(i32::MAX) - 1;
        presented.generation.saturating_add(1).min(last)
    }

    fn rotation(self, presented: &PresentedToken) -> Rotation {
        let ended = Ended::of_columns(self.ended_at, self.ended_reason.clone());
        let (outcome, expired_at) = (self.outcome.clone(), self.refresh_expires_at);
        match (outcome.as_str(), ended, self.into_grant(presented)) {
            ("rotated", _, Some(grant)) => Rotation::Rotated(Box::new(grant)),
            ("repeated", _, Some(grant)) => Rotation::Repeated(Box::new(grant)),
            ("scope_refused", _, Some(grant)) => Rotation::ScopeRefused { granted: grant.scope() },
            ("unknown", ..) => Rotation::Unknown,
            ("account_disabled", ..) => Rotation::AccountDisabled,
            ("reused", ..) => Rotation::Reused,
            ("expired", ..) => Rotation::Expired { at: expired_at },
            ("ended", Some(ended), _) => Rotation::Ended(ended),
            // In the remaining cases the account was deleted.
            _ => Rotation::AccountDeleted,
        }
    }

    fn into_grant(self, presented: &PresentedToken) -> Option<Grant> {
        let generation = match self.outcome.as_str() {
            _ if !presented.rotate => presented.generation,
            "rotated" => self.next(presented),
            _ => self.generation?,
        };
        let is_due = self.outcome == "rotated" || !presented.rotate;
        Some(Grant {
            session_id: presented.session_id,
            user_id: self.user_id?,
            username: self.username?,
            version: self.version?,
            permissions: self.permissions?,
            session_scope: self.session_scope,
            auth_time: self.auth_time?,
            generation,
            refresh_expires_at: if is_due { self.renewed_expires_at } else { self.refresh_expires_at },
            issued_at: self.issued_at,
        })
    }
}
