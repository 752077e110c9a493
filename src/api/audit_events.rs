//! `GET /api/v1/audit-events`: lists the events of the audit log.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use uuid::Uuid;

use crate::audit::event::Event;
use crate::guard::requirements::AuditRead;
use crate::guard::{Authorized, refusals};
use crate::http::pagination::Page;
use crate::http::request::Query;
use crate::http::response::private;
use crate::http::routing::Endpoint;
use crate::operations::list_events::EventQuery;
use crate::operations::list_events::ListEvents;
use crate::refusal::Refusal;
use crate::state::State;

#[must_use]
pub(crate) fn routes() -> Vec<Endpoint> {
    vec![Endpoint::at("/api/v1/audit-events").get(list)]
}

/// An event in the audit log.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct EventItem {
    /// The ID of the event.
    pub id: Uuid,
    /// The time of the event.
    #[schema(format = DateTime)]
    pub occurred_at: String,
    /// The type of the event.
    #[serde(rename = "type")]
    #[schema(example = "login_succeeded")]
    pub type_: String,
    /// The account that acted; null for an anonymous caller.
    pub actor: Option<Account>,
    /// The account that the event concerns.
    pub subject: Option<Account>,
    /// The session that the event concerns.
    pub session_id: Option<Uuid>,
    /// The client address.
    pub address: Option<String>,
    /// The ID of the request that caused the event.
    pub request_id: Option<Uuid>,
    /// Further details, which depend on the type.
    #[schema(value_type = Object)]
    pub details: serde_json::Value,
}

/// An account, with its name at the time of the event.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Account {
    /// The ID of the account; null if no account had this name.
    pub id: Option<Uuid>,
    /// The username of the account.
    pub username: Option<String>,
}

fn account(id: Option<Uuid>, username: Option<String>) -> Option<Account> {
    (id.is_some() || username.is_some()).then_some(Account { id, username })
}

fn item(event: Event) -> EventItem {
    EventItem {
        id: event.id,
        occurred_at: refusals::time(event.occurred_at),
        type_: event.type_.to_string(),
        actor: account(event.actor_id, event.actor_name),
        subject: account(event.subject_id, event.subject_name),
        session_id: event.session_id,
        address: event.address,
        request_id: event.request_id,
        details: event.details,
    }
}

/// Lists the events of the audit log, newest first.
#[utoipa::path(get, path = "/api/v1/audit-events", tag = "audit", params(EventQuery),
    responses((status = 200, description = "The events, newest first", body = Page<EventItem>)))]
pub(crate) async fn list(
    state: web::Data<State>,
    guarded: Authorized<AuditRead, Query<EventQuery>>,
) -> Result<HttpResponse, Refusal> {
    let Query(query) = guarded.input;
    let page = ListEvents { query }.run(&state).await?;
    Ok(private(HttpResponse::Ok()).json(page.map(item)))
}
