//! One audit event, its row and its queries.

use std::net::IpAddr;

use chrono::{DateTime, Datelike, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::upsert::{DecoratableTarget, excluded};
use serde_json::Value;
use uuid::Uuid;

use crate::database::schema::{audit_events, users};
use crate::random;

diesel::define_sql_function! {
    /// The first that is not null.
    #[sql_name = "coalesce"]
    fn first_of(one: Nullable<Text>, other: Nullable<Text>) -> Nullable<Text>;
}

diesel::define_sql_function! {
    /// The key of a session's events of one type within one minute; null for no session.
    fn event_repeat_key(session_id: Nullable<SqlUuid>, event_type: Text, at: Timestamptz) -> Nullable<SqlUuid>;
}

diesel::define_sql_function! {
    /// The details of an event with its count raised by one, and the address of the repetition if it is another.
    fn event_counted(details: Jsonb, address: Nullable<Text>, other_address: Nullable<Text>) -> Jsonb;
}

/// What can have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// A sign-in with the right password.
    LoginSucceeded,
    /// A sign-in that was refused: a wrong password, a disabled account, or the right password for more than the user may.
    LoginFailed,
    /// A password was asked for again within a session, and was right.
    SteppedUp,
    /// A password was asked for again within a session, and was wrong.
    StepUpFailed,
    /// Tries were refused because too many came before; the first refusal of a burst alone.
    TooManyAttempts,
    /// A spent refresh token was presented again and forgiven.
    RefreshRepeated,
    /// A spent refresh token was presented again and was not forgiven: its session is ended.
    RefreshTokenReused,
    /// A session was ended; `details.reason` says why.
    SessionEnded,
    /// An account was made.
    UserCreated,
    /// A name or an address was changed.
    UserUpdated,
    /// A role was changed.
    UserRoleChanged,
    /// An account was disabled.
    UserDisabled,
    /// A disabled account was enabled.
    UserEnabled,
    /// What was counted against an account's sign-ins was forgotten.
    UserUnlocked,
    /// An account was deleted.
    UserDeleted,
    /// A password was changed or set.
    PasswordChanged,
    /// A one-time link to set a password was made.
    PasswordLinkCreated,
    /// A personal access token was made.
    PersonalTokenCreated,
    /// A personal access token was revoked.
    PersonalTokenRevoked,
    /// A signing key was published.
    SigningKeyPublished,
    /// A signing key was revoked.
    SigningKeyRevoked,
    /// The database was restored to an earlier state, and what it cannot vouch for was ended.
    DatabaseRestored,
    /// A node found that the database had lost what was ended of late, and ended it again.
    DatabaseWentBack,
}

impl EventType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 23] = [
        Self::LoginSucceeded,
        Self::LoginFailed,
        Self::SteppedUp,
        Self::StepUpFailed,
        Self::TooManyAttempts,
        Self::RefreshRepeated,
        Self::RefreshTokenReused,
        Self::SessionEnded,
        Self::UserCreated,
        Self::UserUpdated,
        Self::UserRoleChanged,
        Self::UserDisabled,
        Self::UserEnabled,
        Self::UserUnlocked,
        Self::UserDeleted,
        Self::PasswordChanged,
        Self::PasswordLinkCreated,
        Self::PersonalTokenCreated,
        Self::PersonalTokenRevoked,
        Self::SigningKeyPublished,
        Self::SigningKeyRevoked,
        Self::DatabaseRestored,
        Self::DatabaseWentBack,
    ];

    /// The name in the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoginSucceeded => "login_succeeded",
            Self::LoginFailed => "login_failed",
            Self::SteppedUp => "stepped_up",
            Self::StepUpFailed => "step_up_failed",
            Self::TooManyAttempts => "too_many_attempts",
            Self::RefreshRepeated => "refresh_repeated",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::SessionEnded => "session_ended",
            Self::UserCreated => "user_created",
            Self::UserUpdated => "user_updated",
            Self::UserRoleChanged => "user_role_changed",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::UserUnlocked => "user_unlocked",
            Self::UserDeleted => "user_deleted",
            Self::PasswordChanged => "password_changed",
            Self::PasswordLinkCreated => "password_link_created",
            Self::PersonalTokenCreated => "personal_token_created",
            Self::PersonalTokenRevoked => "personal_token_revoked",
            Self::SigningKeyPublished => "signing_key_published",
            Self::SigningKeyRevoked => "signing_key_revoked",
            Self::DatabaseRestored => "database_restored",
            Self::DatabaseWentBack => "database_went_back",
        }
    }
}

impl EventType {
    /// Returns whether a client can repeat it at will within a session: then it is one row a minute, with a count.
    const fn is_repeatable(self) -> bool {
        matches!(self, Self::SteppedUp | Self::StepUpFailed | Self::RefreshRepeated)
    }
}

/// The reason why a request's address is not certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressDoubt {
    /// `X-Forwarded-For` and `Forwarded` name different clients. The address of the latter, if it names one.
    Conflict(Option<IpAddr>),
    /// The header of a trusted proxy names no address that can be read.
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

/// From whom and where a request came.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Who is signed in, when known.
    pub actor_id: Option<Uuid>,
    /// That user's name at the time, or what else did it: the command line, the server.
    pub actor_name: Option<String>,
    /// The session that the request belongs to.
    pub session_id: Option<Uuid>,
    /// The client's address.
    pub address: Option<String>,
    /// Why that address is not certain.
    pub address_doubt: Option<AddressDoubt>,
    /// The request's id.
    pub request_id: Option<Uuid>,
}

impl Origin {
    /// Returns an event's details with the doubt about the address, if there is one.
    #[must_use]
    pub fn with_doubt(&self, details: &Value) -> Value {
        let mut details = details.clone();
        if let (Some(doubt), Some(members)) = (&self.address_doubt, details.as_object_mut()) {
            members.insert("address_doubt".to_owned(), doubt.as_str().into());
            if let AddressDoubt::Conflict(Some(forwarded)) = doubt {
                members.insert("forwarded_address".to_owned(), forwarded.to_string().into());
            }
        }
        details
    }

    /// The origin of what an operator does on the command line.
    #[must_use]
    pub fn command_line() -> Self {
        Self { actor_name: Some("command line".into()), ..Self::default() }
    }

    /// The origin of what the server does by itself.
    #[must_use]
    pub fn server() -> Self {
        Self { actor_name: Some("server".into()), ..Self::default() }
    }

    /// The same request, by this user.
    #[must_use]
    pub fn of(&self, user_id: Uuid, username: &str) -> Self {
        Self { actor_id: Some(user_id), actor_name: Some(username.to_owned()), ..self.clone() }
    }
}

/// The account that something happened to.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its id; none when there is no such account.
    pub id: Option<Uuid>,
    /// Its name, or what was typed for one; none: the one that stands in its row.
    pub name: Option<&'a str>,
}

/// An event as it stands in the database.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_events, check_for_backend(diesel::pg::Pg))]
pub struct Event {
    /// UUID version 7: events stand in the order of their making.
    pub id: Uuid,
    /// By the database's clock.
    pub occurred_at: DateTime<Utc>,
    /// See [`EventType::as_str`].
    pub type_: String,
    /// Who did it.
    pub actor_id: Option<Uuid>,
    /// The actor's name at the time.
    pub actor_name: Option<String>,
    /// Whom it concerned.
    pub subject_id: Option<Uuid>,
    /// The subject's name at the time.
    pub subject_name: Option<String>,
    /// The session concerned.
    pub session_id: Option<Uuid>,
    /// The client's address.
    pub address: Option<String>,
    /// The request that did it.
    pub request_id: Option<Uuid>,
    /// What else is to be known, by type.
    pub details: Value,
}

/// Writes an event, in the caller's transaction. PostgreSQL looks the subject's name up if it is not given. A repeatable
/// event of the same session and minute is counted in the row that is there.
///
/// # Errors
/// PostgreSQL's.
pub fn insert(
    connection: &mut PgConnection,
    origin: &Origin,
    event_type: EventType,
    subject: Subject<'_>,
    details: &Value,
) -> QueryResult<()> {
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

/// What to list; every condition set must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Who did it.
    pub actor_id: Option<Uuid>,
    /// Whom it concerned.
    pub subject_id: Option<Uuid>,
    /// Of this type.
    pub type_: Option<String>,
    /// Concerning this session.
    pub session_id: Option<Uuid>,
    /// Done by this request.
    pub request_id: Option<Uuid>,
    /// Not before.
    pub since: Option<DateTime<Utc>>,
    /// Only those made before this one: the last of the page before.
    pub before: Option<Uuid>,
}

/// The time to compare with: one before the year 1 means from the beginning, since PostgreSQL's begin in 4713 BC.
pub(super) fn comparable(since: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    since.filter(|since| since.year() > 0)
}

/// At most `limit` events, newest first.
///
/// # Errors
/// PostgreSQL's.
pub fn list(connection: &mut PgConnection, filter: &Filter, limit: i64) -> QueryResult<Vec<Event>> {
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
