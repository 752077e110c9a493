//! Lists users, and finds one.

use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::unknown_role::find_unknown_filter;
use crate::http::pagination::{Cursor, Page, PageRequest, PageSize};
use crate::http::parameters;
use crate::refusal::{FieldError, Refusal, not_found};
use crate::state::State;
use crate::tokens::owner::UserStatus;
use crate::users::name::fold_typed;
use crate::users::user::{self, User, UserFilter};

/// The parameters of a listing of users.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserQuery {
    /// A part of the username or e-mail address. Case is ignored, as it is for names. If the search would
    /// read too much, the response is 503 `overloaded`. Narrow the search then.
    pub q: Option<String>,
    /// Only users with this role.
    pub role: Option<String>,
    /// Only users with this status, `active` or `disabled`.
    #[param(value_type = Option<Status>, inline)]
    #[serde(default, deserialize_with = "status")]
    pub status: Option<String>,
    /// The number of items on a page, from 1 to 200.
    #[param(inline)]
    pub limit: Option<PageSize>,
    /// The `next_cursor` of the previous page.
    #[param(inline)]
    pub cursor: Option<Cursor>,
}

/// Parses the parameter `status`. The form on the page sends an empty one for any status.
fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    parameters::one_of(deserializer, &[UserStatus::NAMES, &[""]].concat()).map(Some)
}

/// The status of an account.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code)] // of the description alone
pub(crate) enum Status {
    /// The user can sign in.
    Active,
    /// The user cannot sign in.
    Disabled,
}

impl UserQuery {
    /// Returns the errors that remain after parsing: a role that does not exist, and an empty status, which
    /// only the form on the page may send.
    pub(crate) async fn mistakes(&self, state: &State) -> Result<Vec<FieldError>, Refusal> {
        let mut mistakes: Vec<FieldError> =
            find_unknown_filter(state, self.role.as_deref()).await?.into_iter().collect();
        if self.status.as_deref() == Some("") {
            let detail = "either `active` or `disabled`".to_owned();
            mistakes.push(FieldError::new("/status", "invalid", detail));
        }
        Ok(mistakes)
    }
}

/// Returns a page of users.
pub(crate) struct ListUsers {
    pub query: UserQuery,
}

impl ListUsers {
    /// # Errors
    /// `validation_failed`.
    pub(crate) async fn run(self, state: &State) -> Result<Page<User>, Refusal> {
        let Self { query } = self;
        let status = query.status.as_deref().map(UserStatus::from);
        let list = format!("users {:?} {:?} {:?}", query.q, query.role, query.status);
        let request = PageRequest::read(&state.core.secret_keys, list, query.limit, query.cursor.as_deref())?;
        let typed = query.q.as_deref().filter(|q| !q.is_empty());
        let q = typed.and_then(fold_typed);
        if typed.is_some() && q.is_none() {
            // No name can contain this.
            return Ok(request.page_before(Vec::new(), None));
        }
        let filter = UserFilter { q, role: query.role, status, before: request.before };
        let rows = request.rows();
        let users =
            state.core.database.search(move |connection| user::list(connection, &filter, rows)).await?;
        Ok(request.page(users, |user| user.id))
    }
}

/// Returns a user.
pub(crate) struct FindUser {
    pub id: Uuid,
}

impl FindUser {
    /// # Errors
    /// `not_found`.
    pub(crate) async fn run(self, state: &State) -> Result<User, Refusal> {
        let Self { id } = self;
        let found = state.core.database.run(move |connection| user::find(connection, id)).await;
        found?.ok_or_else(not_found)
    }
}
