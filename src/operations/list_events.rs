//! Lists the audit log for the API and the pages.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::audit::{Event, EventType, event};
use crate::http::pagination::{Cursor, Page, PageRequest, PageSize};
use crate::http::parameters;
use crate::refusal::Refusal;
use crate::state::State;

/// The parameters of a listing of audit events.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    /// Only events that this user caused.
    pub actor: Option<Uuid>,
    /// Only events that concern this user.
    pub subject: Option<Uuid>,
    /// Only events of this type.
    #[serde(rename = "type")]
    #[param(rename = "type", value_type = Option<EventType>, inline)]
    #[serde(default, deserialize_with = "event_type")]
    pub type_: Option<EventType>,
    /// Only events from this time on (RFC 3339).
    pub since: Option<DateTime<Utc>>,
    /// The number of items on a page, from 1 to 200.
    #[param(inline)]
    pub limit: Option<PageSize>,
    /// The `next_cursor` of the previous page.
    #[param(inline)]
    pub cursor: Option<Cursor>,
}

/// In the API's description, a filter is one of the known types.
impl PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        let names = Self::NAMES.iter().copied();
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
    }
}

impl ToSchema for EventType {}

/// Parses the parameter `type`.
fn event_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<EventType>, D::Error> {
    parameters::one_of(deserializer, EventType::NAMES).map(|name| Some(EventType::from(name)))
}

/// Returns a page of the audit log.
pub(crate) struct ListEvents {
    pub query: EventQuery,
}

impl ListEvents {
    /// # Errors
    /// `validation_failed`.
    pub(crate) async fn run(self, state: &State) -> Result<Page<Event>, Refusal> {
        let Self { query } = self;
        let event_type = query.type_.as_ref().map(EventType::as_str);
        let list = format!("audit {:?} {:?} {event_type:?} {:?}", query.actor, query.subject, query.since);
        let request = PageRequest::read(&state.core.secret_keys, list, query.limit, query.cursor.as_deref())?;
        let filter = event::EventFilter {
            actor_id: query.actor,
            subject_id: query.subject,
            type_: query.type_,
            since: query.since,
            before: request.before,
            ..event::EventFilter::default()
        };
        let rows = request.rows();
        let events =
            state.core.database.search(move |connection| event::list(connection, &filter, rows)).await?;
        Ok(request.page(events, |event| event.id))
    }
}
