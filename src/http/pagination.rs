//! Splits lists into pages, newest first. A cursor is valid only for the list that issued it.

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::{cursor, parameters};
use crate::refusal::Problem;
use crate::secret_key::SecretKeys;

/// The number of items per page: the default and the maximum.
const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// One page of a list.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// The cursor of the next page, or null on the last page. Only this tells you whether more items follow:
    /// a page may have fewer items than `limit`.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Converts the items, and keeps the cursor.
    #[must_use]
    pub fn map<U>(self, show: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(show).collect(), next_cursor: self.next_cursor }
    }
}

/// Parses the parameter `limit`.
///
/// # Errors
/// `invalid` if it is not a whole number; `out_of_range` if it is not from 1 to 200.
pub fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(parameters::refuse("invalid", format!("send a whole number from 1 to {LIMIT_MAX}")));
    }
    let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    let refused = || parameters::refuse("out_of_range", format!("this is not between 1 and {LIMIT_MAX}"));
    limit.map(Some).ok_or_else(refused)
}

/// Checks the format of the parameter `cursor`. [`PageRequest::read`] decodes it.
///
/// # Errors
/// `invalid_cursor`.
pub fn cursor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if cursor::has_form(&text) {
        Ok(Some(text))
    } else {
        Err(parameters::refuse("invalid_cursor", cursor::REFUSED))
    }
}

/// The requested page of a list.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Names the list and its filters. Cursors of another list are refused.
    list: String,
    limit: usize,
    /// The last item of the previous page.
    pub before: Option<Uuid>,
}

impl PageRequest {
    /// Applies the default limit (50) and decodes the cursor.
    ///
    /// # Errors
    /// `validation_failed` for a cursor of another list or a forged one.
    pub fn read(
        keys: &SecretKeys,
        list: String,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
        let before = cursor.map(|cursor| cursor::open(keys, &list, cursor)).transpose()?;
        Ok(Self { list, limit: limit as usize, before })
    }

    /// Returns the number of rows to query. One more than the limit shows whether there is a next page.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.limit as i64 + 1
    }

    /// Returns the maximum number of items on the page.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Builds a page of these items. `next` is the row before which the next page starts.
    #[must_use]
    pub fn page_before<T>(&self, keys: &SecretKeys, items: Vec<T>, next: Option<Uuid>) -> Page<T> {
        let next_cursor = next.map(|next| cursor::seal(keys, &self.list, next));
        Page { items, next_cursor }
    }

    /// Builds a page from [`PageRequest::rows`] rows, without the surplus one.
    #[must_use]
    pub fn page<R, T>(
        &self,
        keys: &SecretKeys,
        mut rows: Vec<R>,
        id: impl Fn(&R) -> Uuid,
        show: impl Fn(R) -> T,
    ) -> Page<T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let last = rows.last().filter(|_| more).map(&id);
        let next_cursor = last.map(|last| cursor::seal(keys, &self.list, last));
        Page { items: rows.into_iter().map(show).collect(), next_cursor }
    }
}
