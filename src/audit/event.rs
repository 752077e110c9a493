//! Defines audit events, and writes and lists them.

use std::net::IpAddr;

use chrono::{DateTime, Datelike, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::upsert::{DecoratableTarget, excluded};
use serde_json::Value;
use uuid::Uuid;

use super::event_details::{EventDetails, SharedDetails};
use super::event_type::EventType;
use crate::database::schema::{audit_events, users};
use crate::random;

diesel::define_sql_function! {
    /// Returns the first value that is not null.
    #[sql_name = "coalesce"]
    fn first_of(one: Nullable<Text>, other: Nullable<Text>) -> Nullable<Text>;
}

diesel::define_sql_function! {
    /// Returns the key of a session's events of one type within one minute. It is null without a session.
    fn event_repeat_key(session_id: Nullable<SqlUuid>, event_type: Text, at: Timestamptz) -> Nullable<SqlUuid>;
}

diesel::define_sql_function! {
    /// Returns an event's details with the count increased by one. The repetition's address is added if it
    /// differs.
    fn event_counted(details: Jsonb, address: Nullable<Text>, other_address: Nullable<Text>) -> Jsonb;
}

/// The reason why a request's address is uncertain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressDoubt {
    /// `X-Forwarded-For` and `Forwarded` name different clients. The value is the address in `Forwarded`, if
    /// it has one.
    Conflict(Option<IpAddr>),
    /// The header of a trusted proxy has no address that can be parsed.
    Unreadable,
}

impl AddressDoubt {
    /// Returns the name in metrics, the log and the audit log.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The sender of a request.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The user that is signed in, if known.
    pub actor_id: Option<Uuid>,
    /// That user's name at the time, or the name of another actor, such as the command line or the server.
    pub actor_name: Option<String>,
    pub session_id: Option<Uuid>,
    /// The client address.
    pub address: Option<String>,
    /// The reason why the address is uncertain. `None` if it is certain.
    pub address_doubt: Option<AddressDoubt>,
    pub request_id: Option<Uuid>,
}

impl Origin {
    /// Returns an event's details. If the address is uncertain, the reason is added.
    #[must_use]
    pub fn with_doubt(&self, mut details: Value) -> Value {
        if let (Some(doubt), Some(members)) = (&self.address_doubt, details.as_object_mut()) {
            members.insert("address_doubt".to_owned(), doubt.as_str().into());
            if let AddressDoubt::Conflict(Some(forwarded)) = doubt {
                members.insert("forwarded_address".to_owned(), forwarded.to_string().into());
            }
        }
        details
    }

    /// Returns the origin of an operator's actions on the command line.
    #[must_use]
    pub fn command_line() -> Self {
        Self { actor_name: Some("command line".into()), ..Self::default() }
    }

    /// Returns the origin of the server's own actions.
    #[must_use]
    pub fn server() -> Self {
        Self { actor_name: Some("server".into()), ..Self::default() }
    }

    /// Returns this origin with the user as the actor.
    #[must_use]
    pub fn of(&self, user_id: Uuid, username: &str) -> Self {
        Self { actor_id: Some(user_id), actor_name: Some(username.to_owned()), ..self.clone() }
    }
}

/// The account that an event concerns.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// `None` if the account does not exist.
    pub id: Option<Uuid>,
    /// The account's name, or what was typed as one. `None` means the name in the account's row.
    pub name: Option<&'a str>,
}

impl Subject<'_> {
    /// The subject of an event that concerns no account.
    #[must_use]
    pub fn none() -> Self {
        Self { id: None, name: None }
    }
}

/// An audit event as it is stored.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_events, check_for_backend(diesel::pg::Pg))]
pub struct Event {
    /// A UUID version 7, so the IDs have the order of the events.
    pub id: Uuid,
    /// The time by the database's clock.
    pub occurred_at: DateTime<Utc>,
    pub type_: EventType,
    /// The user who caused the event.
    pub actor_id: Option<Uuid>,
    pub actor_name: Option<String>,
    /// The user whom the event concerns.
    pub subject_id: Option<Uuid>,
    pub subject_name: Option<String>,
    pub session_id: Option<Uuid>,
    pub address: Option<String>,
    /// The ID of the request that caused the event.
    pub request_id: Option<Uuid>,
    /// Further details, which depend on the type.
    pub details: Value,
}

impl Event {
    /// Returns the details that the event's type has. They are [`EventDetails::Unknown`] if this version does
    /// not know the type, or if the members do not fit it.
    #[must_use]
    pub fn read_details(&self) -> EventDetails {
        EventDetails::read(&self.type_, &self.details)
    }

    /// Returns the details that events of every type may have.
    #[must_use]
    pub fn read_shared_details(&self) -> SharedDetails {
        SharedDetails::read(&self.details)
    }
}

/// Writes an event, in the caller's transaction. PostgreSQL looks up the subject's name if it is not given. A
/// repeatable event is counted in the row of the same session and minute, if there is one.
pub(crate) fn insert(
    connection: &mut PgConnection,
    origin: &Origin,
    subject: Subject<'_>,
    details: &EventDetails,
) -> QueryResult<()> {
    let (event_type, details) = details.to_columns();
    let stands = users::table.filter(users::id.nullable().eq(subject.id)).select(users::username);
    let subject_name = first_of(subject.name, stands.single_value());
    let repeated = origin.session_id.filter(|_| event_type.is_repeatable());
    let repeat_key = event_repeat_key(repeated, event_type.as_str(), crate::database::now());
    diesel::insert_into(audit_events::table)
        .values((
            audit_events::id.eq(random::id()),
            audit_events::occurred_at.eq(crate::database::now()),
            audit_events::type_.eq(event_type.as_str()),
            audit_events::actor_id.eq(origin.actor_id),
            audit_events::actor_name.eq(origin.actor_name.as_deref()),
            audit_events::subject_id.eq(subject.id),
            audit_events::subject_name.eq(subject_name),
            audit_events::session_id.eq(origin.session_id),
            audit_events::address.eq(origin.address.as_deref()),
            audit_events::request_id.eq(origin.request_id),
            audit_events::details.eq(origin.with_doubt(details)),
            audit_events::repeat_key.eq(repeat_key),
        ))
        .on_conflict(audit_events::repeat_key)
        .filter_target(audit_events::repeat_key.is_not_null())
        .do_update()
        .set(audit_events::details.eq(event_counted(
            audit_events::details,
            audit_events::address,
            excluded(audit_events::address),
        )))
        .execute(connection)
        .map(|_| ())
}

/// The conditions of a listing. All that are set must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilter {
    pub actor_id: Option<Uuid>,
    pub subject_id: Option<Uuid>,
    pub type_: Option<EventType>,
    pub session_id: Option<Uuid>,
    pub request_id: Option<Uuid>,
    /// The earliest time.
    pub since: Option<DateTime<Utc>>,
    /// Lists only events written before this one, which is the last of the previous page.
    pub before: Option<Uuid>,
}

/// Returns the time for a comparison. A time before the year 1 means no limit, because PostgreSQL's times
/// start in 4713 BC.
pub(super) fn comparable(since: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    since.filter(|since| since.year() > 0)
}

/// Returns at most `limit` events, newest first.
pub(crate) fn list(
    connection: &mut PgConnection,
    filter: &EventFilter,
    limit: i64,
) -> QueryResult<Vec<Event>> {
    let mut query = audit_events::table.select(Event::as_select()).into_boxed();
    if let Some(actor_id) = filter.actor_id {
        query = query.filter(audit_events::actor_id.eq(actor_id));
    }
    if let Some(subject_id) = filter.subject_id {
        query = query.filter(audit_events::subject_id.eq(subject_id));
    }
    if let Some(type_) = &filter.type_ {
        query = query.filter(audit_events::type_.eq(type_));
    }
    if let Some(session_id) = filter.session_id {
        query = query.filter(audit_events::session_id.eq(session_id));
    }
    if let Some(request_id) = filter.request_id {
        query = query.filter(audit_events::request_id.eq(request_id));
    }
    if let Some(since) = comparable(filter.since) {
        query = query.filter(audit_events::occurred_at.ge(since));
    }
    if let Some(before) = filter.before {
        query = query.filter(audit_events::id.lt(before));
    }
    query.order(audit_events::id.desc()).limit(limit).load(connection)
}
