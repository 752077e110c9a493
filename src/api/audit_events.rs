//! `GET /api/v1/audit-events`: what happened.

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
use crate::refusal::Problem;
use crate::state::State;

/// The routes.
#[must_use]
pub fn routes() -> Vec<Endpoint> {
    vec![Endpoint::at("/api/v1/audit-events").get(list)]
}

/// An event of the audit log.
#[derive(Serialize, utoipa::ToSchema)]
pub struct EventItem {
    /// Its id.
    pub id: Uuid,
    /// When it happened.
    #[schema(format = DateTime)]
    pub occurred_at: String,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "login_succeeded")]
    pub type_: String,
    /// Who did it; null when nobody was signed in.
    pub actor: Option<Account>,
    /// Whom it concerned.
    pub subject: Option<Account>,
    /// The session concerned.
    pub session_id: Option<Uuid>,
    /// The client's address.
    pub address: Option<String>,
    /// The request that did it.
    pub request_id: Option<Uuid>,
    /// What else is to be known, by type.
    #[schema(value_type = Object)]
    pub details: serde_json::Value,
}

/// An account as it was named at the time.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Account {
    /// Its id; null for a name that no account has.
    pub id: Option<Uuid>,
    /// Its name.
    pub username: Option<String>,
}

fn account(id: Option<Uuid>, username: Option<String>) -> Option<Account> {
    (id.is_some() || username.is_some()).then_some(Account { id, username })
}

fn item(event: Event) -> EventItem {
    EventItem {
        id: event.id,
        occurred_at: refusals::time(event.occurred_at),
        type_: event.type_,
        actor: account(event.actor_id, event.actor_name),
        subject: account(event.subject_id, event.subject_name),
        session_id: event.session_id,
        address: event.address,
        request_id: event.request_id,
        details: event.details,
    }
}

/// Lists events.
#[utoipa::path(get, path = "/api/v1/audit-events", tag = "audit", params(EventQuery),
    responses((status = 200, description = "The events, newest first", body = Page<EventItem>)))]
pub async fn list(
    state: web::Data<State>,
    guarded: Authorized<AuditRead, Query<EventQuery>>,
) -> Result<HttpResponse, Problem> {
    let Query(query) = guarded.input;
    let page = ListEvents { query }.run(&state).await?;
    Ok(private(HttpResponse::Ok()).json(page.map(item)))
}
