//! A page of a list: newest first, by cursors that hold for that list alone.

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::{cursor, parameters};
use crate::refusal::Problem;
use crate::secret_key::SecretKeys;

/// Items when none are asked for, and at most.
const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// One page of a list.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// For the next page; null on the last one. It alone tells whether there is a next page: this page may have fewer
    /// items than asked for.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same page, its items shown otherwise.
    #[must_use]
    pub fn map<U>(self, show: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(show).collect(), next_cursor: self.next_cursor }
    }
}

/// Reads the parameter `limit`: 1 to 200.
///
/// # Errors
/// `invalid` or `out_of_range`.
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

/// Reads the parameter `cursor`, as far as its form goes.
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

/// What is asked of a list.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Names the list and its filters: a cursor of another does not open.
    list: String,
    limit: usize,
    /// The last item of the page before.
    pub before: Option<Uuid>,
}

impl PageRequest {
    /// Takes the limit (50 when none is given) and reads the cursor.
    ///
    /// # Errors
    /// `validation_failed`.
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

    /// How many rows to ask for: one more than is shown tells whether there is a next page.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.limit as i64 + 1
    }

    /// Returns how many items a page has at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the page of these items; `next` is the row before which the next page starts.
    #[must_use]
    pub fn page_before<T>(&self, keys: &SecretKeys, items: Vec<T>, next: Option<Uuid>) -> Page<T> {
        let next_cursor = next.map(|next| cursor::seal(keys, &self.list, next));
        Page { items, next_cursor }
    }

    /// The page of these rows.
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
