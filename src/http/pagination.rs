//! Splits lists into pages, newest first. A cursor is valid only for the list that issued it.

use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use uuid::Uuid;

use super::{cursor, parameters};
use crate::refusal::Refusal;
use crate::secret_key::SecretKeys;

/// The number of items per page if the client does not choose one.
const LIMIT_DEFAULT: u32 = 50;
/// The maximum number of items per page.
const LIMIT_MAX: u32 = 200;

/// One page of a list.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// The cursor of the next page, or null on the last page. Only this tells you whether more items follow:
    /// a page may have fewer items than `limit`.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Converts the items, and keeps the cursor.
    #[must_use]
    pub(crate) fn map<U>(self, show: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(show).collect(), next_cursor: self.next_cursor }
    }
}

/// The parameter `limit`: the number of items on a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageSize(pub u32);

/// Fails with `invalid` if it is not a whole number, and with `out_of_range` if it is not from 1 to 200.
impl<'de> Deserialize<'de> for PageSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(parameters::refuse("invalid", format!("send a whole number from 1 to {LIMIT_MAX}")));
        }
        let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        let refused = || parameters::refuse("out_of_range", format!("this is not between 1 and {LIMIT_MAX}"));
        limit.map(Self).ok_or_else(refused)
    }
}

impl utoipa::ToSchema for PageSize {}

impl utoipa::PartialSchema for PageSize {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)));
        let number = number.minimum(Some(1)).maximum(Some(LIMIT_MAX));
        number.default(Some(LIMIT_DEFAULT.into())).into()
    }
}

/// The parameter `cursor`: the `next_cursor` of the previous page. [`PageRequest::read`] decodes it.
#[derive(Clone, Debug)]
pub(crate) struct Cursor(pub String);

/// Fails with `invalid_cursor` if it does not have the form of a cursor.
impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if cursor::has_form(&text) {
            Ok(Self(text))
        } else {
            Err(parameters::refuse("invalid_cursor", cursor::REFUSED))
        }
    }
}

impl Deref for Cursor {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl utoipa::ToSchema for Cursor {}

impl utoipa::PartialSchema for Cursor {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).into()
    }
}

/// The parameters of a list without filters.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The number of items per page, 1 to 200.
    #[param(inline)]
    pub limit: Option<PageSize>,
    /// The `next_cursor` of the previous page.
    #[param(inline)]
    pub cursor: Option<Cursor>,
}

/// The parameters of a list on a page of the browser, which ignores others.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CursorQuery {
    pub cursor: Option<String>,
}

/// The requested page of a list.
pub(crate) struct PageRequest<'a> {
    keys: &'a SecretKeys,
    /// Names the list and its filters. Cursors of another list are refused.
    list: String,
    limit: usize,
    /// The last item of the previous page.
    pub before: Option<Uuid>,
}

impl<'a> PageRequest<'a> {
    /// Applies the default limit (50) and decodes the cursor.
    ///
    /// # Errors
    /// `validation_failed` for a cursor of another list or a forged one.
    pub(crate) fn read(
        keys: &'a SecretKeys,
        list: String,
        limit: Option<PageSize>,
        cursor: Option<&str>,
    ) -> Result<Self, Refusal> {
        let limit = limit.map_or(LIMIT_DEFAULT, |PageSize(limit)| limit).clamp(1, LIMIT_MAX);
        let before = cursor.map(|cursor| cursor::open(keys, &list, cursor)).transpose()?;
        Ok(Self { keys, list, limit: limit as usize, before })
    }

    /// Returns the number of rows to query. One more than the limit shows whether there is a next page.
    #[must_use]
    pub(crate) fn rows(&self) -> i64 {
        self.limit as i64 + 1
    }

    /// Returns the maximum number of items on the page.
    #[must_use]
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Builds a page of these items. `next` is the row before which the next page starts.
    #[must_use]
    pub(crate) fn page_before<T>(&self, items: Vec<T>, next: Option<Uuid>) -> Page<T> {
        let next_cursor = next.map(|next| cursor::seal(self.keys, &self.list, next));
        Page { items, next_cursor }
    }

    /// Builds a page from [`PageRequest::rows`] rows, without the surplus one.
    #[must_use]
    pub(crate) fn page<R>(&self, mut rows: Vec<R>, id: impl Fn(&R) -> Uuid) -> Page<R> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let last = rows.last().filter(|_| more).map(id);
        self.page_before(rows, last)
    }
}
