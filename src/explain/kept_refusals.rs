//! Lists kept refusals for the pages.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::audit::refusals::{self, KeptRefusal, RefusalFilter};
use crate::http::pagination::{Page, PageRequest};
use crate::refusal::Refusal;
use crate::state::State;

/// The parameters of a listing of kept refusals.
#[derive(Clone, Debug, Default)]
pub(crate) struct RefusalQuery {
    /// Only refusals of this user's credentials.
    pub user: Option<Uuid>,
    /// Only refusals with this code.
    pub code: Option<String>,
    /// Only refusals on routes or paths that contain this text.
    pub route: Option<String>,
    /// Only refusals from this time on.
    pub since: Option<DateTime<Utc>>,
    /// The `next_cursor` of the previous page.
    pub cursor: Option<String>,
}

/// Returns a page of the kept refusals.
///
/// # Errors
/// `validation_failed`.
pub(crate) async fn list_refusals(state: &State, query: RefusalQuery) -> Result<Page<KeptRefusal>, Refusal> {
    let list = format!("refusals {:?} {:?} {:?} {:?}", query.user, query.code, query.route, query.since);
    let request = PageRequest::read(&state.core.secret_keys, list, None, query.cursor.as_deref())?;
    let filter = RefusalFilter {
        user_id: query.user,
        code: query.code,
        route: query.route,
        since: query.since,
        before: request.before,
    };
    let rows = request.rows();
    let found =
        state.core.database.search(move |connection| refusals::list(connection, &filter, rows)).await?;
    Ok(request.page(found, |refusal| refusal.request_id))
}
