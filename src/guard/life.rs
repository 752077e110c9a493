//! The life of a session or a personal token, in words: issued when, by which sign-in, from where; refreshed; ended by
//! whom, when and why.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::refusal;
use super::services::Services;
use crate::audit::event::{self, Event, Filter};
use crate::problem::Problem;
use crate::sessions::{EndReason, SessionLife, find_life};
use crate::tokens::personal_token::{self, PersonalToken};

/// Events of a life that are looked at.
const EVENTS: i64 = 200;

/// One thing that happened.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct LifeEvent {
    /// When.
    pub at: DateTime<Utc>,
    /// What, for programs: an audit event's type, or `refreshed`, `last_used`, `expires`, `expired`.
    pub event: String,
    /// What, for people.
    pub text: String,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// From which address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// In which request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Uuid>,
}

impl LifeEvent {
    fn plain(at: DateTime<Utc>, event: &str, text: String) -> Self {
        Self { at, event: event.to_owned(), text, by: None, address: None, request_id: None }
    }
}

impl From<Event> for LifeEvent {
    fn from(event: Event) -> Self {
        let (text, by) = (in_words(&event), by_whom(&event));
        Self {
            at: event.occurred_at,
            event: event.type_,
            text,
            by,
            address: event.address,
            request_id: event.request_id,
        }
    }
}

fn by_whom(event: &Event) -> Option<String> {
    let by_command = event.actor_name.is_none() && event.address.is_none() && event.request_id.is_none();
    let is_logout = event.details.get("reason").and_then(Value::as_str) == Some(EndReason::Logout.as_str());
    match &event.actor_name {
        Some(name) => Some(name.clone()),
        None if by_command => Some("the command line or the server itself".to_owned()),
        // A sign-out without an Authorization header.
        None if is_logout => Some("whoever holds its refresh token".to_owned()),
        None => None,
    }
}

/// What happened, without who did it.
fn in_words(event: &Event) -> String {
    let detail = |name: &str| event.details.get(name).and_then(Value::as_str).unwrap_or_default();
    let reason = detail("reason").replace('_', " ");
    match event.type_.as_str() {
        "login_succeeded" if detail("device").is_empty() => format!("signed in ({} session)", detail("kind")),
        "login_succeeded" => format!("signed in ({} session) with {}", detail("kind"), detail("device")),
        "login_failed" => "a sign-in failed".to_owned(),
        "stepped_up" => "the password was given again".to_owned(),
        "step_up_failed" => "a wrong password was given".to_owned(),
        "refresh_repeated" => "a spent refresh token was presented again and forgiven".to_owned(),
        "refresh_token_reused" => "a spent refresh token was used again: the session was ended".to_owned(),
        "session_ended" => format!("the session was ended: {reason}"),
        "user_role_changed" => "the user's role was changed".to_owned(),
        "user_disabled" => "the account was disabled".to_owned(),
        "user_enabled" => "the account was enabled".to_owned(),
        "user_deleted" => "the account was deleted".to_owned(),
        "password_changed" => "the password was changed".to_owned(),
        "personal_token_created" => format!("the token “{}” was made", detail("name")),
        "personal_token_revoked" => format!("the token was revoked: {reason}"),
        other => other.replace('_', " "),
    }
}

/// What of a user's events bears on what he holds.
fn concerns_credentials(event: &Event) -> bool {
    const TYPES: [&str; 5] =
        ["user_role_changed", "user_disabled", "user_enabled", "user_deleted", "password_changed"];
    TYPES.contains(&event.type_.as_str())
}

impl Services {
    /// A session's row, whatever became of it; with a digest, only if it is its refresh token's.
    ///
    /// # Errors
    /// A fault of ours as a 5xx.
    pub async fn session_life(
        &self,
        id: Uuid,
        digest: Option<[u8; 32]>,
    ) -> Result<Option<SessionLife>, Problem> {
        self.database
            .run(move |connection| find_life(connection, id, digest))
            .await
            .map_err(refusal::database)
    }

    /// What happened to a session, in order.
    ///
    /// # Errors
    /// A fault of ours as a 5xx.
    pub async fn events_of_session(&self, life: &SessionLife) -> Result<Vec<LifeEvent>, Problem> {
        let (id, user_id, since) = (life.id, life.user_id, life.created_at);
        let events = self
            .database
            .run(move |connection| {
                let of_session = Filter { session_id: Some(id), ..Filter::default() };
                let mut events = event::list(connection, &of_session, EVENTS)?;
                if user_id.is_some() {
                    let of_user = Filter { subject_id: user_id, since: Some(since), ..Filter::default() };
                    let others = event::list(connection, &of_user, EVENTS)?;
                    let others = others.into_iter().filter(concerns_credentials);
                    let known: Vec<Uuid> = events.iter().map(|event| event.id).collect();
                    events.extend(others.filter(|event| !known.contains(&event.id)));
                }
                Ok(events)
            })
            .await
            .map_err(refusal::database)?;
        let mut events: Vec<LifeEvent> = events.into_iter().map(LifeEvent::from).collect();
        events.extend(of_row(life, &events));
        Ok(in_order(events))
    }

    /// What happened to a personal token, in order.
    ///
    /// # Errors
    /// A fault of ours as a 5xx.
    pub async fn events_of_personal_token(&self, id: Uuid) -> Result<Vec<LifeEvent>, Problem> {
        let found = self
            .database
            .run(move |connection| {
                let Some(token) = personal_token::find(connection, id)? else { return Ok(None) };
                let since = Some(token.created_at);
                let filter = Filter { subject_id: token.user_id, since, ..Filter::default() };
                let events = match token.user_id {
                    Some(_) => event::list(connection, &filter, EVENTS)?,
                    None => Vec::new(),
                };
                Ok(Some((token, events)))
            })
            .await
            .map_err(refusal::database)?;
        let Some((token, events)) = found else { return Ok(Vec::new()) };
        let text = id.to_string();
        let is_its_own = |event: &Event| event.details.get("token_id").and_then(Value::as_str) == Some(&text);
        let events = events.into_iter().filter(|event| is_its_own(event) || concerns_credentials(event));
        let mut events: Vec<LifeEvent> = events.map(LifeEvent::from).collect();
        events.extend(of_token(&token, self.clock.now()));
        Ok(in_order(events))
    }

    /// What the audit log says of a request.
    ///
    /// # Errors
    /// A fault of ours as a 5xx.
    pub async fn events_of_request(&self, request_id: Uuid) -> Result<Vec<LifeEvent>, Problem> {
        let filter = Filter { request_id: Some(request_id), ..Filter::default() };
        let events = self
            .database
            .run(move |connection| event::list(connection, &filter, EVENTS))
            .await
            .map_err(refusal::database)?;
        Ok(events.into_iter().map(LifeEvent::from).collect())
    }
}

fn in_order(mut events: Vec<LifeEvent>) -> Vec<LifeEvent> {
    events.sort_by_key(|event| event.at);
    events
}

/// What the row says and no event does: uses and refreshes are too many to be events, and old events are pruned.
fn of_row(life: &SessionLife, events: &[LifeEvent]) -> Vec<LifeEvent> {
    let has = |name: &str| events.iter().any(|event| event.event == name);
    let mut more = Vec::new();
    if !has("login_succeeded") {
        let text = format!("signed in ({} session)", life.kind);
        let begun = LifeEvent::plain(life.created_at, "login_succeeded", text);
        more.push(LifeEvent { address: life.address.clone(), ..begun });
    }
    if let Some((count @ 1.., Some(at))) = life.refreshed {
        let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
        more.push(LifeEvent::plain(at, "refreshed", format!("refreshed {times}, the last time now")));
    }
    if life.last_used_at > life.created_at {
        more.push(LifeEvent::plain(life.last_used_at, "last_used", "last used".to_owned()));
    }
    match &life.ended {
        Some((at, reason)) if !has("session_ended") && !has("refresh_token_reused") => {
            let text = format!("the session was ended: {}", reason.replace('_', " "));
            more.push(LifeEvent::plain(*at, "session_ended", text));
        }
        Some(_) => {}
        None => more.push(end_of_life(life.expires_at, life.is_expired)),
    }
    more
}

fn of_token(token: &PersonalToken, now: DateTime<Utc>) -> Vec<LifeEvent> {
    let used = token.last_used_at.map(|at| LifeEvent::plain(at, "last_used", "last used".to_owned()));
    let end = end_of_life(token.expires_at, token.expires_at <= now);
    used.into_iter().chain([end]).collect()
}

fn end_of_life(at: DateTime<Utc>, is_over: bool) -> LifeEvent {
    let (event, text) =
        if is_over { ("expired", "expired") } else { ("expires", "expires if it is not used until then") };
    LifeEvent::plain(at, event, text.to_owned())
}
