//! Rotates refresh tokens. One statement replaces a token by its successor, in one round trip and one commit.
//! It locks the row that it decides on, so simultaneous requests on any number of nodes are decided one after
//! another.
//!
//! This statement also handles refreshes that keep the token, and batches with one token from each of several
//! sessions.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::data_types::PgInterval;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{
    Array, BigInt, Binary, Bool, Integer, Interval, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::end::EndReason;
use super::session::{Grant, SessionLimits, interval};
use crate::audit::Origin;
use crate::blocking::batch::BatchRequest;
use crate::database::feed;
use crate::digest::Digest;
use crate::random;
use crate::tokens::ended::Ended;

/// A genuine refresh token and the request made with it.
#[derive(Clone, Debug)]
pub struct PresentedToken {
    pub session_id: Uuid,
    /// SHA-256 of the token's random bytes.
    pub secret_digest: Digest,
    pub generation: i32,
    /// The scope requested for the access token. It must be within the session's.
    pub scope: Option<Vec<String>>,
    /// True to rotate the refresh token. If false, only an access token is issued and the refresh token stays
    /// current.
    pub rotate: bool,
}

/// The outcome of a refresh.
#[derive(Clone, Debug)]
pub enum Rotation {
    /// The current token was presented. It was rotated, or kept as requested.
    Rotated(Box<Grant>),
    /// A token that was already rotated was presented, and that is forgiven. The current token is sent again,
    /// and nothing is rotated. A client that keeps its token gets an access token of the generation that it
    /// presented. Nothing proves that it ever received the current token.
    Repeated(Box<Grant>),
    /// A token that was already rotated was presented, and that is not forgiven. The session has just been
    /// ended.
    Reused,
    /// The token does not exist, or no longer does.
    Unknown,
    /// The session has ended.
    Ended(Ended<EndReason>),
    /// The session has expired.
    Expired { at: DateTime<Utc> },
    /// The user's account was deleted.
    AccountDeleted,
    /// The user is disabled. The token was not rotated.
    AccountDisabled,
    /// The requested scope exceeds the session's. The token was not rotated.
    ScopeRefused {
        /// The session's scope.
        granted: Vec<String>,
    },
}

/// A refresh token that is queued to be rotated in one statement with others.
#[derive(Clone, Debug)]
pub struct QueuedRefresh {
    pub presented: PresentedToken,
    /// The sender of the request.
    pub origin: Origin,
}

impl BatchRequest for QueuedRefresh {
    /// One statement can change a row only once.
    fn can_join(&self, other: &Self) -> bool {
        self.presented.session_id != other.presented.session_id
    }
}

/// Rotates a refresh token. Waits while someone else holds the lock on its row.
pub fn rotate(
    connection: &mut PgConnection,
    presented: &PresentedToken,
    limits: &SessionLimits,
    origin: &Origin,
) -> QueryResult<Rotation> {
    let doubt = origin.with_doubt(json!({}));
    let given =
        RotateOne { presented, origin, doubt, event_id: random::id(), lifetimes: Lifetimes::new(limits) };
    let decided = RotationStatement { given }.get_result(connection).optional()?;
    Ok(decided.map_or(Rotation::Unknown, |decided| rotation(presented, decided)))
}

/// Rotates refresh tokens of different sessions. Returns the outcomes in the order of `queue`. `None` means
/// that the token must be rotated alone. It requests a scope, its row is locked by someone else, or it does
/// not exist.
///
/// # Errors
/// PostgreSQL's. Then no token was rotated.
pub fn rotate_all(
    connection: &mut PgConnection,
    queue: &[QueuedRefresh],
    limits: &SessionLimits,
) -> QueryResult<Vec<Option<Rotation>>> {
    let given = RotateMany::new(queue, Lifetimes::new(limits));
    let decided: Vec<RotationRow> = RotationStatement { given }.load(connection)?;
    let mut decided: HashMap<Uuid, RotationRow> =
        decided.into_iter().map(|decided| (decided.session_id, decided)).collect();
    let answer = |QueuedRefresh { presented, .. }: &QueuedRefresh| {
        decided.remove(&presented.session_id).map(|decided| rotation(presented, decided))
    };
    Ok(queue.iter().map(answer).collect())
}

fn rotation(presented: &PresentedToken, mut decided: RotationRow) -> Rotation {
    if !presented.rotate {
        decided.generation = presented.generation;
    }
    let rotation = Rotation::from(decided);
    if matches!(rotation, Rotation::Reused) {
        feed::publish();
    }
    rotation
}

/// The row that the statement returns for each token.
#[derive(Queryable)]
struct RotationRow {
    outcome: String,
    session_id: Uuid,
    generation: i32,
    refresh_expires_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    ended_reason: Option<EndReason>,
    auth_time: DateTime<Utc>,
    session_scope: Option<Vec<String>>,
    user_id: Option<Uuid>,
    username: Option<String>,
    version: Option<i64>,
    permissions: Option<Vec<String>>,
    issued_at: DateTime<Utc>,
}

impl From<RotationRow> for Rotation {
    fn from(decided: RotationRow) -> Self {
        let outcome = decided.outcome.clone();
        let expired_at = decided.refresh_expires_at;
        let ended = Ended::of_columns(decided.ended_at, decided.ended_reason.clone());
        match (outcome.as_str(), ended, decided.into_grant()) {
            ("rotated", _, Some(grant)) => Self::Rotated(Box::new(grant)),
            ("repeated", _, Some(grant)) => Self::Repeated(Box::new(grant)),
            ("scope_refused", _, Some(grant)) => Self::ScopeRefused { granted: grant.scope() },
            ("account_disabled", ..) => Self::AccountDisabled,
            ("reused", ..) => Self::Reused,
            ("expired", ..) => Self::Expired { at: expired_at },
            ("ended", Some(ended), _) => Self::Ended(ended),
            // The remaining rows have no user.
            _ => Self::AccountDeleted,
        }
    }
}

impl RotationRow {
    fn into_grant(self) -> Option<Grant> {
        Some(Grant {
            session_id: self.session_id,
            user_id: self.user_id?,
            username: self.username?,
            version: self.version?,
            permissions: self.permissions?,
            session_scope: self.session_scope,
            auth_time: self.auth_time,
            generation: self.generation,
            refresh_expires_at: self.refresh_expires_at,
            issued_at: self.issued_at,
        })
    }
}

/// The statement with its parameters. It is a type of its own so that diesel prepares it once per connection.
#[derive(QueryId)]
struct RotationStatement<G> {
    given: G,
}

impl<G> Query for RotationStatement<G> {
    type SqlType = (
        Text,
        SqlUuid,
        Integer,
        Timestamptz,
        Nullable<Timestamptz>,
        Nullable<Text>,
        Timestamptz,
        Nullable<Array<Text>>,
        Nullable<SqlUuid>,
        Nullable<Text>,
        Nullable<BigInt>,
        Nullable<Array<Text>>,
        Timestamptz,
    );
}

impl<G> RunQueryDsl<PgConnection> for RotationStatement<G> {}

/// Decides the outcome. It checks the session's end and expiry first, then whether the token is a replay, then
/// the user, then the scope.
///
/// A token that was already rotated is forgiven in two cases. It was rotated within the grace period, or it
/// was the last one rotated and nothing shows that the response arrived. A generation ahead of the row's
/// counts as the current one, because a failover or a restore took the row back in time.
///
/// A current token that is kept has the outcome 'rotated' too. Its generation stays, but the idle lifetime
/// starts again, because a session that is refreshed is in use. The idle lifetime of a forgiven token that is
/// kept also starts again, because its client has no other token.
macro_rules! outcome {
    () => {
        "CASE
            WHEN t.ended_at IS NOT NULL THEN 'ended'
            WHEN t.expires_at <= now() THEN 'expired'
            WHEN g.generation < t.generation
                AND NOT (g.grace > interval '0' AND coalesce(t.rotated_at[t.generation - g.generation] > now() - g.grace, false))
                AND NOT (g.generation = t.generation - 1 AND t.used_generation < t.generation)
                THEN 'reused'
            WHEN u.id IS NULL THEN 'account_deleted'
            WHEN u.status <> 'active' THEN 'account_disabled'
            WHEN NOT (coalesce(g.scope <@ r.permissions, true) AND coalesce(g.scope <@ s.scope, true))
                THEN 'scope_refused'
            WHEN g.generation < t.generation THEN 'repeated'
            ELSE 'rotated'
        END"
    };
}

/// The statement after `WITH given AS MATERIALIZED (SELECT …), `, which names the parameters. The benchmarks
/// run it directly too. A refresh token from after a step-up starts the grace period of the secrets before
/// it.
///
/// The event's details are those of `EventDetails::RefreshRepeated` and `EventDetails::RefreshTokenReused`.
pub const STATEMENT: &str = concat!(
    "turn AS (
        UPDATE refresh_tokens AS t SET
            outcome = ", outcome!(), ",
            generation = CASE ", outcome!(), "
                WHEN 'rotated' THEN g.generation + g.spends::integer ELSE t.generation END,
            rotated_at = CASE
                WHEN ", outcome!(), " <> 'rotated' THEN t.rotated_at
                WHEN g.generation > t.generation THEN CASE WHEN g.spends THEN ARRAY[now()] ELSE '{}' END
                WHEN g.spends THEN (now() || t.rotated_at)[1:16]
                ELSE t.rotated_at
            END,
            expires_at = CASE
                WHEN ", outcome!(), " = 'rotated' OR (", outcome!(), " = 'repeated' AND NOT g.spends)
                THEN least(now() + g.refresh_ttl, s.expires_at) ELSE t.expires_at END,
            used_generation = greatest(t.used_generation, g.generation),
            ended_at = CASE ", outcome!(), " WHEN 'reused' THEN now() ELSE t.ended_at END,
            ended_reason = CASE ", outcome!(), " WHEN 'reused' THEN 'refresh_token_reused' ELSE t.ended_reason END
        FROM given AS g, sessions AS s
            LEFT JOIN users AS u ON u.id = s.user_id LEFT JOIN roles AS r ON r.name = u.role
        WHERE t.session_id = g.session_id AND t.secret_digest = g.secret_digest AND s.id = t.session_id
        RETURNING t.outcome, t.session_id, t.generation, t.first_generation, t.expires_at, t.ended_at, t.ended_reason,
            s.auth_time, s.scope, u.id AS user_id, u.username, u.version, r.permissions, s.expires_at AS session_expires_at
    ), session_ended AS (
        UPDATE sessions AS s SET ended_at = now(), ended_reason = 'refresh_token_reused'
        FROM turn WHERE turn.outcome = 'reused' AND s.id = turn.session_id AND s.ended_at IS NULL
    ), published AS (
        INSERT INTO revocations (kind, subject, reason, matters_until)
        SELECT 'session', session_id::text, 'refresh_token_reused', session_expires_at
        FROM turn WHERE outcome = 'reused'
    ), superseded AS (
        UPDATE former_secrets AS f SET superseded_at = now()
        FROM turn WHERE turn.first_generation > 1 AND f.session_id = turn.session_id AND f.superseded_at IS NULL
        RETURNING f.session_id
    ), renewed AS (
        INSERT INTO revocations (kind, subject, reason, matters_until)
        SELECT DISTINCT 'session_changed', session_id::text, 'session_renewed', now() FROM superseded
    ), noted AS (
        INSERT INTO audit_events
            (id, type, subject_id, subject_name, session_id, address, request_id, details, repeat_key)
        SELECT g.event_id, CASE turn.outcome WHEN 'reused' THEN 'refresh_token_reused' ELSE 'refresh_repeated' END,
            turn.user_id, turn.username, turn.session_id, g.address, g.request_id,
            jsonb_build_object('presented_generation', g.generation, 'live_generation', turn.generation) || g.doubt,
            CASE turn.outcome WHEN 'repeated' THEN event_repeat_key(turn.session_id, 'refresh_repeated', now()) END
        FROM turn JOIN given AS g ON g.session_id = turn.session_id WHERE turn.outcome IN ('reused', 'repeated')
        ON CONFLICT (repeat_key) WHERE repeat_key IS NOT NULL DO UPDATE SET details = 
            event_counted(audit_events.details, audit_events.address, excluded.address)
    )
    SELECT outcome, session_id, generation, expires_at, ended_at, ended_reason, auth_time, scope, user_id, username,
        version, permissions, now()
    FROM turn"
);

impl<G: QueryFragment<Pg>> QueryFragment<Pg> for RotationStatement<G> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH given AS MATERIALIZED (SELECT ");
        self.given.walk_ast(out.reborrow())?;
        out.push_sql("), ");
        out.push_sql(STATEMENT);
        Ok(())
    }
}

struct Lifetimes {
    grace: PgInterval,
    refresh_ttl: PgInterval,
}

impl Lifetimes {
    fn new(limits: &SessionLimits) -> Self {
        Self { grace: interval(limits.refresh_grace), refresh_ttl: interval(limits.refresh_ttl) }
    }

    fn walk_ast<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param::<Interval, _>(&self.grace)?;
        out.push_sql(" AS grace, ");
        out.push_bind_param::<Interval, _>(&self.refresh_ttl)?;
        out.push_sql(" AS refresh_ttl");
        Ok(())
    }
}

/// The parameters of one token.
struct RotateOne<'a> {
    presented: &'a PresentedToken,
    origin: &'a Origin,
    doubt: Value,
    event_id: Uuid,
    lifetimes: Lifetimes,
}

impl QueryId for RotateOne<'_> {
    type QueryId = RotateOne<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for RotateOne<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param::<SqlUuid, _>(&self.presented.session_id)?;
        out.push_sql(" AS session_id, ");
        out.push_bind_param::<Binary, _>(self.presented.secret_digest.as_slice())?;
        out.push_sql(" AS secret_digest, ");
        out.push_bind_param::<Integer, _>(&self.presented.generation)?;
        out.push_sql(" AS generation, ");
        out.push_bind_param::<Nullable<Array<Text>>, _>(&self.presented.scope)?;
        out.push_sql(" AS scope, ");
        out.push_bind_param::<Bool, _>(&self.presented.rotate)?;
        out.push_sql(" AS spends, ");
        out.push_bind_param::<SqlUuid, _>(&self.event_id)?;
        out.push_sql(" AS event_id, ");
        out.push_bind_param::<Nullable<Text>, _>(&self.origin.address)?;
        out.push_sql(" AS address, ");
        out.push_bind_param::<Nullable<SqlUuid>, _>(&self.origin.request_id)?;
        out.push_sql(" AS request_id, ");
        out.push_bind_param::<Jsonb, _>(&self.doubt)?;
        out.push_sql(" AS doubt, ");
        self.lifetimes.walk_ast(&mut out)
    }
}

/// The parameters of many tokens, as one array per column.
struct RotateMany<'a> {
    session_ids: Vec<Uuid>,
    secret_digests: Vec<&'a [u8]>,
    generations: Vec<i32>,
    rotate: Vec<bool>,
    event_ids: Vec<Uuid>,
    addresses: Vec<Option<&'a str>>,
    request_ids: Vec<Option<Uuid>>,
    /// The details about uncertain client addresses, for the audit events.
    doubts: Vec<Value>,
    lifetimes: Lifetimes,
}

impl<'a> RotateMany<'a> {
    fn new(queue: &'a [QueuedRefresh], lifetimes: Lifetimes) -> Self {
        let queue: Vec<&QueuedRefresh> =
            queue.iter().filter(|queued| queued.presented.scope.is_none()).collect();
        Self {
            session_ids: queue.iter().map(|queued| queued.presented.session_id).collect(),
            secret_digests: queue.iter().map(|queued| queued.presented.secret_digest.as_slice()).collect(),
            generations: queue.iter().map(|queued| queued.presented.generation).collect(),
            rotate: queue.iter().map(|queued| queued.presented.rotate).collect(),
            event_ids: queue.iter().map(|_| random::id()).collect(),
            addresses: queue.iter().map(|queued| queued.origin.address.as_deref()).collect(),
            request_ids: queue.iter().map(|queued| queued.origin.request_id).collect(),
            doubts: queue.iter().map(|queued| queued.origin.with_doubt(json!({}))).collect(),
            lifetimes,
        }
    }
}

impl QueryId for RotateMany<'_> {
    type QueryId = RotateMany<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Pg> for RotateMany<'_> {
    /// Skips rows that someone else has locked, so that the others do not wait for them. Each array is passed
    /// in a `SELECT`, which hides its length from the planner. Otherwise PostgreSQL would plan each execution
    /// again.
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("asked.*, NULL::text[] AS scope, ");
        self.lifetimes.walk_ast(&mut out)?;
        out.push_sql(" FROM unnest((SELECT ");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.session_ids)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Binary>, _>(&self.secret_digests)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Integer>, _>(&self.generations)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Bool>, _>(&self.rotate)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<SqlUuid>, _>(&self.event_ids)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.addresses)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Nullable<SqlUuid>>, _>(&self.request_ids)?;
        out.push_sql("), (SELECT ");
        out.push_bind_param::<Array<Jsonb>, _>(&self.doubts)?;
        out.push_sql(
            ")) AS asked (session_id, secret_digest, generation, spends, event_id, address, request_id, doubt)
            JOIN refresh_tokens AS held ON held.session_id = asked.session_id
            FOR NO KEY UPDATE OF held SKIP LOCKED",
        );
        Ok(())
    }
}
