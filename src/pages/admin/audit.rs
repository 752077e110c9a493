//! `/admin/audit`: shows the audit log with filters, and exports it.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use askama::Template;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::{Event, EventType};
use crate::guard::requirements::AuditRead;
use crate::guard::{Authorized, Caller, refusals};
use crate::http::pagination::{Cursor, PageSize};
use crate::http::request::Query;
use crate::limits::unread_answers::CALLER_MAX;
use crate::operations::list_events::EventQuery;
use crate::operations::list_events::ListEvents;
use crate::operations::reserve_answer::reserve_answer;
use crate::pages::answer::answer;
use crate::pages::form_errors::FormErrors;
use crate::pages::shell::Shell;
use crate::pages::timestamp::Timestamp;
use crate::refusal::{FieldError, Refusal};
use crate::state::State;
use crate::users::name::fold_typed;
use crate::users::user;

/// The most events in an export. More would not fit into a response before its deadline.
const EXPORTED: usize = 10_000;

#[derive(Template)]
#[template(path = "admin/audit.html")]
struct Audit {
    shell: Shell,
    items: Vec<EventLine>,
    types: Vec<&'static str>,
    sent: AuditQuery,
    query: String,
    next: Option<String>,
    errors: FormErrors,
}

/// An event on one line.
pub(crate) struct EventLine {
    pub when: Timestamp,
    /// The type in words.
    pub what: String,
    /// The name of the actor at the time, or their ID.
    pub actor: String,
    /// The name of the account concerned at the time, or its ID.
    pub subject: String,
    /// The ID of the account concerned, for a link to its events.
    pub subject_id: Option<Uuid>,
    pub address: String,
    pub details: String,
}

/// Describes an event for a page shown at `now`.
#[must_use]
pub(crate) fn line(event: Event, now: DateTime<Utc>) -> EventLine {
    let named = |name: Option<String>, id: Option<Uuid>| name.unwrap_or_else(|| id_text(id));
    EventLine {
        when: Timestamp::new(event.occurred_at, now),
        what: event.type_.as_str().replace('_', " "),
        actor: named(event.actor_name, event.actor_id),
        subject: named(event.subject_name, event.subject_id),
        subject_id: event.subject_id,
        address: event.address.unwrap_or_default(),
        details: details(&event.details),
    }
}

/// Returns an ID as text, or an empty text if there is none.
fn id_text(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

fn details(details: &Value) -> String {
    let shown = details.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let shown = shown.map(|(name, value)| match value {
        Value::String(text) => format!("{name}: {text}"),
        other => format!("{name}: {other}"),
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// The filters and the requested page. Users are given by name or ID.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct AuditQuery {
    #[serde(default)]
    actor: String,
    #[serde(default)]
    subject: String,
    #[serde(default, rename = "type")]
    type_: String,
    #[serde(default)]
    since: String,
    cursor: Option<String>,
}

impl AuditQuery {
    fn without_cursor(&self) -> String {
        let fields = [
            ("actor", &self.actor),
            ("subject", &self.subject),
            ("type", &self.type_),
            ("since", &self.since),
        ];
        query_of(&fields)
    }

    async fn read(&self, state: &State) -> Result<EventQuery, Refusal> {
        let mut wrong = Vec::new();
        let query = EventQuery {
            actor: find_user(state, &self.actor, "/actor", &mut wrong).await?,
            subject: find_user(state, &self.subject, "/subject", &mut wrong).await?,
            type_: read_choice(&self.type_, "/type", EventType::NAMES, &mut wrong).map(EventType::from),
            since: read_day(&self.since, &mut wrong),
            limit: None,
            cursor: self.cursor.clone().map(Cursor),
        };
        if wrong.is_empty() { Ok(query) } else { Err(Refusal::validation(wrong)) }
    }
}

/// Returns a query string of the fields that are filled in.
pub(super) fn query_of(fields: &[(&str, &String)]) -> String {
    let filled = fields.iter().filter(|(_, value)| !value.is_empty());
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(filled).finish()
}

/// Returns the chosen value of a list, if any was chosen. Records an error if the list does not have it.
pub(super) fn read_choice(
    chosen: &str,
    pointer: &str,
    values: &[&str],
    wrong: &mut Vec<FieldError>,
) -> Option<String> {
    if chosen.is_empty() || values.contains(&chosen) {
        return Some(chosen.to_owned()).filter(|chosen| !chosen.is_empty());
    }
    wrong.push(FieldError::new(pointer, "invalid", "choose one of the list".to_owned()));
    None
}

/// Returns the start of a day (UTC), if any was typed. Records an error if the text is not a day.
pub(super) fn read_day(typed: &str, wrong: &mut Vec<FieldError>) -> Option<DateTime<Utc>> {
    let typed = typed.trim();
    if typed.is_empty() {
        return None;
    }
    let day = NaiveDate::parse_from_str(typed, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0));
    if day.is_none() {
        wrong.push(FieldError::new("/since", "invalid", "write a day such as 2026-03-01".to_owned()));
    }
    day.map(|day| day.and_utc())
}

/// Returns the user with this name or ID, if any was typed. Records an error if no user has the name.
pub(super) async fn find_user(
    state: &State,
    typed: &str,
    pointer: &str,
    wrong: &mut Vec<FieldError>,
) -> Result<Option<Uuid>, Refusal> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Ok(None);
    }
    // This also finds the events of a deleted account.
    if let Ok(id) = Uuid::parse_str(typed) {
        return Ok(Some(id));
    }
    let found = match fold_typed(typed) {
        None => None,
        Some(folded) => {
            state.core.database.run(move |connection| user::find_by_name(connection, &folded)).await?
        }
    };
    if found.is_none() {
        let detail = format!("there is no user `{typed}`; one who was deleted is found by id");
        wrong.push(FieldError::new(pointer, "unknown_user", detail));
    }
    Ok(found.map(|user| user.id))
}

/// Returns the page without events.
fn empty(caller: &Caller, sent: AuditQuery, errors: FormErrors) -> Audit {
    Audit {
        shell: Shell::of(caller),
        items: Vec::new(),
        types: EventType::NAMES.to_vec(),
        sent,
        query: String::new(),
        next: None,
        errors,
    }
}

/// Lists the events.
pub(crate) async fn show(
    state: web::Data<State>,
    guarded: Authorized<AuditRead, Query<AuditQuery>>,
) -> Result<HttpResponse, Refusal> {
    let Authorized { caller, input: Query(sent), .. } = guarded;
    let filters = match sent.read(&state).await {
        Ok(filters) => filters,
        Err(refusal) => return FormErrors::of(refusal)?.shown_by(|errors| empty(&caller, sent, errors)),
    };
    let page = ListEvents { query: filters }.run(&state).await?;
    let now = state.core.clock.now();
    let query = sent.without_cursor();
    let next = page.next_cursor.as_ref().map(|cursor| {
        let mut next = url::form_urlencoded::Serializer::new(query.clone());
        next.append_pair("cursor", cursor).finish()
    });
    let items = page.items.into_iter().map(|event| line(event, now)).collect();
    let page = Audit { items, query, next, ..empty(&caller, sent, FormErrors::none()) };
    answer(StatusCode::OK, &page)
}

/// Returns the newest events that match the filters, at most [`EXPORTED`]. Reserves the caller's whole
/// allowance of unread responses, so that each user can run only one export at a time.
async fn collect(state: &State, sent: &AuditQuery) -> Result<Vec<Event>, Refusal> {
    let _alone = reserve_answer(state, CALLER_MAX)?;
    let mut query = EventQuery { limit: Some(PageSize(200)), ..sent.read(state).await? };
    let mut events = Vec::new();
    loop {
        let page = ListEvents { query: query.clone() }.run(state).await?;
        events.extend(page.items);
        query.cursor = page.next_cursor.map(Cursor);
        if query.cursor.is_none() || events.len() >= EXPORTED {
            return Ok(events);
        }
    }
}

/// Exports the events as JSON.
pub(crate) async fn json(
    state: web::Data<State>,
    guarded: Authorized<AuditRead, Query<AuditQuery>>,
) -> Result<HttpResponse, Refusal> {
    let Query(sent) = guarded.input;
    let events = collect(&state, &sent).await?;
    let rows: Vec<Value> = events
        .into_iter()
        .map(|event| {
            json!({ "id": event.id, "occurred_at": refusals::time(event.occurred_at), "type": event.type_,
                "actor_id": event.actor_id, "actor": event.actor_name, "subject_id": event.subject_id,
                "subject": event.subject_name, "session_id": event.session_id, "address": event.address,
                "request_id": event.request_id, "details": event.details })
        })
        .collect();
    Ok(download("application/json", "audit.json").json(rows))
}

/// The columns of the CSV, named like the members of the JSON.
const COLUMNS: [&str; 10] = [
    "occurred_at",
    "type",
    "actor_id",
    "actor",
    "subject_id",
    "subject",
    "session_id",
    "address",
    "request_id",
    "details",
];

/// Exports the events as comma-separated values (RFC 4180).
pub(crate) async fn csv(
    state: web::Data<State>,
    guarded: Authorized<AuditRead, Query<AuditQuery>>,
) -> Result<HttpResponse, Refusal> {
    let Query(sent) = guarded.input;
    let events = collect(&state, &sent).await?;
    let mut text = format!("{}\r\n", COLUMNS.join(","));
    for event in events {
        let fields: [String; COLUMNS.len()] = [
            event.occurred_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            event.type_.to_string(),
            id_text(event.actor_id),
            event.actor_name.unwrap_or_default(),
            id_text(event.subject_id),
            event.subject_name.unwrap_or_default(),
            id_text(event.session_id),
            event.address.unwrap_or_default(),
            id_text(event.request_id),
            event.details.to_string(),
        ];
        text += &fields.map(|field| cell(&field)).join(",");
        text += "\r\n";
    }
    Ok(download("text/csv; charset=utf-8", "audit.csv").body(text))
}

/// Returns a quoted cell. A quote in front of what looks like a formula keeps spreadsheets from executing it.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

fn download(content_type: &str, name: &str) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, content_type))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")));
    answer
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn cell_is_quoted_and_not_a_formula() {
        assert_eq!(cell("a,\"b\"\r\n"), "\"a,\"\"b\"\"\r\n\"");
        assert_eq!(cell("=1+1"), "\"'=1+1\"");
    }
}
