//! The kept refusals, as pages list them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::audit::refusals::{self, Filter, Refusal};
use crate::http::pagination::{Page, PageRequest};
use crate::refusal::Problem;
use crate::state::State;

/// Which refusals.
#[derive(Clone, Debug, Default)]
pub struct RefusalQuery {
    /// Of this user's credentials.
    pub user: Option<Uuid>,
    /// With this code.
    pub code: Option<String>,
    /// On a route or path that contains this.
    pub route: Option<String>,
    /// Not before this time.
    pub since: Option<DateTime<Utc>>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A page of the kept refusals.
///
/// # Errors
/// `validation_failed`; a fault of ours as a 5xx.
pub async fn list_refusals(state: &State, query: RefusalQuery) -> Result<Page<Refusal>, Problem> {
    let list = format!("refusals {:?} {:?} {:?} {:?}", query.user, query.code, query.route, query.since);
    let request = PageRequest::read(&state.core.secret_keys, list, None, query.cursor.as_deref())?;
    let filter = Filter {
        user_id: query.user,
        code: query.code,
        route: query.route,
        since: query.since,
        before: request.before,
    };
    let rows = request.rows();
    let found =
        state.core.database.search(move |connection| refusals::list(connection, &filter, rows)).await?;
    Ok(request.page(&state.core.secret_keys, found, |refusal| refusal.request_id, |refusal| refusal))
}
