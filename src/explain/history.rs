//! Builds the history of a session or personal token in words. It covers the sign-in or creation, the
//! refreshes, and the end, with the actor, the address and the reason.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::audit::event::{self, EventFilter};
use crate::audit::{Event, EventDetails, EventType};
use crate::digest::Digest;
use crate::guard::lookup;
use crate::refusal::Refusal;
use crate::sessions::renewal::SESSION_RENEWED;
use crate::sessions::{EndReason, SessionHistory, SessionKind, find_history};
use crate::state::State;
use crate::tokens::ended::Ended;
use crate::tokens::personal_token::{self, PersonalToken, PersonalTokenHistory, RevokeReason};

/// The number of events that are read for a history.
const EVENTS: i64 = 200;

/// An event in the history of a session or personal token.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = LifeEvent)]
pub(crate) struct HistoryEvent {
    pub at: DateTime<Utc>,
    /// The type of an audit event, or `refreshed`, `session_renewed`, `last_used`, `expires` or `expired`.
    pub event: String,
    /// A sentence that describes the event.
    pub text: String,
    /// The actor, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The client address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The ID of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Uuid>,
}

impl HistoryEvent {
    fn plain(at: DateTime<Utc>, event: &str, text: String) -> Self {
        Self { at, event: event.to_owned(), text, by: None, address: None, request_id: None }
    }
}

impl From<Event> for HistoryEvent {
    fn from(event: Event) -> Self {
        let (text, by) = (in_words(&event), by_whom(&event));
        Self {
            at: event.occurred_at,
            event: event.type_.to_string(),
            text,
            by,
            address: event.address,
            request_id: event.request_id,
        }
    }
}

fn by_whom(event: &Event) -> Option<String> {
    // It was a sign-out without an Authorization header.
    let by_refresh_token = || match event.read_details() {
        EventDetails::SessionEnded { reason, .. }
            if EndReason::from(reason.as_str()) == EndReason::Logout =>
        {
            Some("someone with its refresh token".to_owned())
        }
        _ => None,
    };
    event.actor_name.clone().or_else(by_refresh_token)
}

/// Describes an event without its actor.
fn in_words(event: &Event) -> String {
    match event.read_details() {
        EventDetails::LoginSucceeded { kind, device, .. } => {
            signed_in(&SessionKind::from(kind), &device.unwrap_or_default())
        }
        // This is a wrong password within a session, when changing the account.
        EventDetails::LoginFailed { code, .. } if code == "wrong_password" => {
            "a wrong password was entered".to_owned()
        }
        EventDetails::LoginFailed { .. } => "a sign-in failed".to_owned(),
        EventDetails::SteppedUp {} => "the password was confirmed".to_owned(),
        EventDetails::StepUpFailed {} => "a wrong password was entered".to_owned(),
        EventDetails::RefreshRepeated { .. } => {
            "a used refresh token was presented again and accepted".to_owned()
        }
        EventDetails::RefreshTokenReused { .. } => {
            "a used refresh token was presented again, so the session was ended".to_owned()
        }
        EventDetails::SessionEnded { reason, .. } => session_ended(&EndReason::from(reason)),
        EventDetails::UserRoleChanged { .. } => "the user's role was changed".to_owned(),
        EventDetails::UserDisabled { .. } => "the account was disabled".to_owned(),
        EventDetails::UserEnabled {} => "the account was enabled".to_owned(),
        EventDetails::UserDeleted { .. } => "the account was deleted".to_owned(),
        EventDetails::PasswordChanged { .. } => "the password was changed".to_owned(),
        EventDetails::PersonalTokenCreated { name, .. } => token_made(&name),
        EventDetails::PersonalTokenRevoked { reason, .. } => token_revoked(&RevokeReason::from(reason)),
        // Their names say what happened.
        EventDetails::TooManyAttempts { .. }
        | EventDetails::UserCreated { .. }
        | EventDetails::UserUpdated { .. }
        | EventDetails::UserUnlocked {}
        | EventDetails::PasswordLinkCreated { .. }
        | EventDetails::SigningKeyPublished { .. }
        | EventDetails::SigningKeyRevoked { .. }
        | EventDetails::DatabaseRestored { .. }
        | EventDetails::DatabaseWentBack { .. }
        | EventDetails::Unknown(_) => event.type_.as_str().replace('_', " "),
    }
}

fn signed_in(kind: &SessionKind, device: &str) -> String {
    let with = if device.is_empty() { String::new() } else { format!(" with {device}") };
    format!("signed in ({kind} session){with}")
}

fn session_ended(reason: &EndReason) -> String {
    format!("the session ended: {}", reason.as_str().replace('_', " "))
}

fn token_made(name: &str) -> String {
    format!("the token “{name}” was created")
}

fn token_revoked(reason: &RevokeReason) -> String {
    format!("the token was revoked: {}", reason.as_str().replace('_', " "))
}

/// Returns whether an event of a user affects their credentials.
fn concerns_credentials(event: &Event) -> bool {
    matches!(
        event.type_,
        EventType::UserRoleChanged
            | EventType::UserDisabled
            | EventType::UserEnabled
            | EventType::UserDeleted
            | EventType::PasswordChanged
    )
}

/// Returns the history of a session, even if it has ended. With a digest, the session's refresh token must
/// have this one.
pub(crate) async fn session_history(
    state: &State,
    id: Uuid,
    digest: Option<Digest>,
) -> Result<Option<SessionHistory>, Refusal> {
    state
        .core
        .database
        .run(move |connection| find_history(connection, id, digest))
        .await
        .map_err(Refusal::from)
}

/// Returns the events of a session, in order.
pub(crate) async fn events_of_session(
    state: &State,
    history: &SessionHistory,
) -> Result<Vec<HistoryEvent>, Refusal> {
    let (id, user_id, since) = (history.id, history.user_id, history.created_at);
    // Actions on other accounts belong to the history of those accounts.
    let is_of_others = move |event: &Event| user_id.is_some() && event.subject_id != user_id;
    let events = state
        .core
        .database
        .run(move |connection| {
            let of_session = EventFilter { session_id: Some(id), ..EventFilter::default() };
            let mut events = event::list(connection, &of_session, EVENTS)?;
            events.retain(|event| !is_of_others(event));
            if user_id.is_some() {
                let of_user =
                    EventFilter { subject_id: user_id, since: Some(since), ..EventFilter::default() };
                let others = event::list(connection, &of_user, EVENTS)?;
                let others = others.into_iter().filter(concerns_credentials);
                let known: Vec<Uuid> = events.iter().map(|event| event.id).collect();
                events.extend(others.filter(|event| !known.contains(&event.id)));
            }
            Ok(events)
        })
        .await?;
    let events = oldest_first(events);
    let more = of_row(history, &events);
    Ok(in_order(events, more))
}

/// Returns the events of a personal token, in order.
pub(crate) async fn events_of_personal_token(state: &State, id: Uuid) -> Result<Vec<HistoryEvent>, Refusal> {
    let found = state
        .core
        .database
        .run(move |connection| {
            let Some(history) = personal_token::find_history(connection, id)? else { return Ok(None) };
            let PersonalToken { user_id, created_at, .. } = history.token;
            let filter =
                EventFilter { subject_id: user_id, since: Some(created_at), ..EventFilter::default() };
            let events = match user_id {
                Some(_) => event::list(connection, &filter, EVENTS)?,
                None => Vec::new(),
            };
            Ok(Some((history, events)))
        })
        .await?;
    let Some((history, mut events)) = found else { return Ok(Vec::new()) };
    let is_its_own = |event: &Event| match event.read_details() {
        EventDetails::PersonalTokenCreated { token_id, .. }
        | EventDetails::PersonalTokenRevoked { token_id, .. } => token_id == id,
        _ => false,
    };
    events.retain(|event| is_its_own(event) || concerns_credentials(event));
    let events = oldest_first(events);
    let more = of_token(&history, &events, lookup::database_time(state).await?);
    Ok(in_order(events, more))
}

/// Returns the audit events of a request.
pub(crate) async fn events_of_request(state: &State, request_id: Uuid) -> Result<Vec<HistoryEvent>, Refusal> {
    let filter = EventFilter { request_id: Some(request_id), ..EventFilter::default() };
    let events =
        state.core.database.search(move |connection| event::list(connection, &filter, EVENTS)).await?;
    Ok(oldest_first(events))
}

/// Sorts events by time. Events of the same time have the order in which they were written.
fn oldest_first(mut events: Vec<Event>) -> Vec<HistoryEvent> {
    events.sort_by_key(|event| (event.occurred_at, event.id));
    events.into_iter().map(HistoryEvent::from).collect()
}

/// Merges two lists by time. Events of the same time keep their order in the lists.
pub(crate) fn in_order(mut events: Vec<HistoryEvent>, more: Vec<HistoryEvent>) -> Vec<HistoryEvent> {
    events.extend(more);
    events.sort_by_key(|event| event.at);
    events
}

/// Adds what only the session's row says. Uses and refreshes are too frequent to be audit events, and old
/// events are pruned.
fn of_row(history: &SessionHistory, events: &[HistoryEvent]) -> Vec<HistoryEvent> {
    let has = |event_type: EventType| events.iter().any(|event| event.event == event_type.as_str());
    let mut more = Vec::new();
    if !has(EventType::LoginSucceeded) {
        let text = signed_in(&history.kind, history.device.as_deref().unwrap_or_default());
        let started = HistoryEvent::plain(history.created_at, EventType::LoginSucceeded.as_str(), text);
        more.push(HistoryEvent { address: history.address.clone(), ..started });
    }
    if let Some((count @ 1.., Some(at))) = history.refreshed {
        let times = if count == 1 { String::new() } else { format!(", {count} times in total") };
        more.push(HistoryEvent::plain(at, "refreshed", format!("refreshed{times}")));
    }
    let secret = match history.kind {
        SessionKind::Browser => "cookie",
        SessionKind::Api => "refresh token",
        SessionKind::Unknown(_) => "secret",
    };
    more.extend(history.renewed_at.iter().map(|at| {
        let text = format!("the session got a new {secret}");
        HistoryEvent::plain(*at, SESSION_RENEWED, text)
    }));
    if history.last_used_at > history.created_at {
        more.push(last_used(history.last_used_at));
    }
    match &history.ended {
        Some(Ended { at, reason })
            if !has(EventType::SessionEnded) && !has(EventType::RefreshTokenReused) =>
        {
            more.push(HistoryEvent::plain(*at, EventType::SessionEnded.as_str(), session_ended(reason)));
        }
        Some(_) => {}
        None => more.push(end_of(history.expires_at, history.is_expired, "expires unless it is used before")),
    }
    more
}

/// Adds what only a personal token's row says. Using the token does not extend its lifetime.
fn of_token(
    history: &PersonalTokenHistory,
    events: &[HistoryEvent],
    now: DateTime<Utc>,
) -> Vec<HistoryEvent> {
    let PersonalTokenHistory { token, revoked_at, revoked_reason } = history;
    let revoked = Ended::of_columns(*revoked_at, revoked_reason.as_ref());
    let has = |event_type: EventType| events.iter().any(|event| event.event == event_type.as_str());
    let mut more = Vec::new();
    if !has(EventType::PersonalTokenCreated) {
        more.push(HistoryEvent::plain(
            token.created_at,
            EventType::PersonalTokenCreated.as_str(),
            token_made(&token.name),
        ));
    }
    more.extend(token.last_used_at.map(last_used));
    match revoked {
        Some(Ended { at, reason }) if !has(EventType::PersonalTokenRevoked) => {
            let event_type = EventType::PersonalTokenRevoked;
            more.push(HistoryEvent::plain(at, event_type.as_str(), token_revoked(reason)));
        }
        Some(_) => {}
        None => more.push(end_of(token.expires_at, token.expires_at <= now, "expires")),
    }
    more
}

fn last_used(at: DateTime<Utc>) -> HistoryEvent {
    HistoryEvent::plain(at, "last_used", "last used".to_owned())
}

fn end_of(at: DateTime<Utc>, is_over: bool, expires: &str) -> HistoryEvent {
    let (event, text) = if is_over { ("expired", "expired") } else { ("expires", expires) };
    HistoryEvent::plain(at, event, text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn event_names_its_actor_if_known() {
        let (address, request) = (Some("192.0.2.1"), Some(Uuid::nil()));
        for (actor, address, request_id, reason, by) in [
            (Some("alice"), address, request, "logout", Some("alice")),
            (Some("command line"), None, None, "ended_by_admin", Some("command line")),
            (None, address, request, "logout", Some("someone with its refresh token")),
            // Someone sent a request, but it does not identify them.
            (None, address, request, "refresh_token_reused", None),
        ] {
            let event = Event {
                id: Uuid::nil(),
                occurred_at: DateTime::UNIX_EPOCH,
                type_: "session_ended".into(),
                actor_id: None,
                actor_name: actor.map(str::to_owned),
                subject_id: None,
                subject_name: None,
                session_id: None,
                address: address.map(str::to_owned),
                request_id,
                details: json!({ "reason": reason }),
            };
            assert_eq!(by_whom(&event).as_deref(), by, "{event:?}");
        }
    }
}
