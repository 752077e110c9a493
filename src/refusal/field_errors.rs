//! Collects the errors in a request. Lists them up to a limit, and counts the others.

use serde::Serialize;

use super::redacted::redacted;

/// The maximum number of errors in a response.
const LISTED_MAX: usize = 50;
/// The maximum total size of the errors in a response, in bytes.
const BYTES_MAX: usize = 16 * 1024;
/// The maximum number of errors in a kept refusal.
const KEPT_MAX: usize = 10;
/// The maximum total size of the errors in a kept refusal, in bytes.
const KEPT_BYTES_MAX: usize = 2 * 1024;
/// The maximum length of a pointer, in characters. It may repeat text from the client.
const POINTER_MAX: usize = 200;
/// The maximum length of a detail, in characters. It may repeat text from the client.
const DETAIL_MAX: usize = 500;

/// An error in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// The place of the error: a JSON pointer (RFC 6901) into the body, or `/name` for a query parameter.
    /// Long ones are cut.
    #[schema(example = "/title")]
    pub pointer: String,
    /// The kind of error, for programs.
    #[schema(example = "too_long")]
    pub code: &'static str,
    /// The explanation, for people.
    pub detail: String,
}

impl FieldError {
    /// Creates an error. Cuts credentials and overlong text.
    #[must_use]
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: String) -> Self {
        let pointer = shortened(redacted(pointer.into()), POINTER_MAX);
        Self { pointer, code, detail: shortened(redacted(detail), DETAIL_MAX) }
    }

    /// Creates the entry that counts the errors which are not listed.
    fn of_more(more: usize) -> Self {
        let detail = if more == 1 { "1 more error".to_owned() } else { format!("{more} more errors") };
        Self { pointer: String::new(), code: "too_many", detail }
    }

    /// Returns the maximum number of bytes that the pointer and the detail take in JSON, where a control
    /// character takes six.
    fn bytes(&self) -> usize {
        let texts = [&self.pointer, &self.detail].into_iter();
        texts
            .flat_map(|text| text.chars())
            .map(|letter| if letter < ' ' { 6 } else { letter.len_utf8() })
            .sum()
    }
}

/// Cuts a string to `most` characters, and marks the cut with an ellipsis.
fn shortened(mut text: String, most: usize) -> String {
    if text.len() > most
        && let Some((end, _)) = text.char_indices().nth(most)
    {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The collected errors of a request.
#[derive(Clone, Debug, Default)]
pub struct FieldErrors {
    listed: Vec<FieldError>,
    bytes: usize,
    more: usize,
}

impl FieldErrors {
    /// Lists an error, or only counts it if the list is full.
    pub fn push(&mut self, error: FieldError) {
        let bytes = error.bytes();
        if self.more == 0 && self.listed.len() < LISTED_MAX && self.bytes + bytes <= BYTES_MAX {
            self.listed.push(error);
            self.bytes += bytes;
        } else {
            self.more += 1;
        }
    }

    /// Lists the error that `make` returns. If the list is full, counts it without creating it.
    pub fn push_with(&mut self, make: impl FnOnce() -> FieldError) {
        if self.more == 0 && self.listed.len() < LISTED_MAX {
            self.push(make());
        } else {
            self.more += 1;
        }
    }

    /// Counts errors that need not be listed.
    pub fn count(&mut self, more: usize) {
        self.more += more;
    }

    /// Returns true if there are no errors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.more == 0
    }

    /// Returns the number of errors, including those that are only counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.listed.len() + self.more
    }

    /// Returns the listed errors. If others were counted, a last entry gives their number.
    #[must_use]
    pub fn into_entries(self) -> Vec<FieldError> {
        let mut entries = self.listed;
        if self.more > 0 {
            entries.push(FieldError::of_more(self.more));
        }
        entries
    }

    /// Returns the entries for a kept refusal.
    #[must_use]
    pub(super) fn kept(&self) -> Vec<FieldError> {
        let mut bytes = 0;
        let fits = |error: &&FieldError| {
            bytes += error.bytes();
            bytes <= KEPT_BYTES_MAX
        };
        let listed: Vec<FieldError> = self.listed.iter().take(KEPT_MAX).take_while(fits).cloned().collect();
        Self { more: self.len() - listed.len(), listed, bytes: 0 }.into_entries()
    }
}

impl FromIterator<FieldError> for FieldErrors {
    fn from_iter<I: IntoIterator<Item = FieldError>>(errors: I) -> Self {
        let mut collected = Self::default();
        errors.into_iter().for_each(|error| collected.push(error));
        collected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(count: usize, pointer: &str) -> FieldErrors {
        (0..count).map(|_| FieldError::new(pointer, "invalid", "no".into())).collect()
    }

    #[test]
    fn errors_beyond_the_limit_are_counted() {
        let entries = errors(LISTED_MAX + 7, "/a").into_entries();
        assert_eq!(entries.len(), LISTED_MAX + 1);
        assert_eq!((entries[LISTED_MAX].code, &*entries[LISTED_MAX].detail), ("too_many", "7 more errors"));
        assert_eq!(errors(LISTED_MAX, "/a").into_entries().len(), LISTED_MAX);
        let mut counted = errors(1, "/a");
        counted.count(1);
        assert_eq!(counted.into_entries()[1].detail, "1 more error");
    }

    #[test]
    fn error_list_is_bounded_in_bytes() {
        for letter in ["\u{1}", "~", "\u{1f600}"] {
            let all = errors(40, &letter.repeat(10_000));
            let text = serde_json::to_string(&all.clone().into_entries()).expect("JSON");
            assert!(text.len() < BYTES_MAX + 8 * 1024, "{}", text.len());
            let kept = serde_json::to_string(&all.kept()).expect("JSON");
            assert!(kept.len() < KEPT_BYTES_MAX + 1024, "{}", kept.len());
        }
    }

    #[test]
    fn kept_errors_are_fewer_and_count_the_rest() {
        let kept = errors(60, "/a").kept();
        assert_eq!((kept.len(), &*kept[KEPT_MAX].detail), (KEPT_MAX + 1, "50 more errors"));
        assert_eq!(errors(3, "/a").kept().len(), 3);
    }

    #[test]
    fn long_pointer_is_cut_and_marked() {
        let pointer = |length: usize| FieldError::new("é".repeat(length), "invalid", String::new()).pointer;
        assert_eq!(pointer(POINTER_MAX), "é".repeat(POINTER_MAX));
        assert_eq!(pointer(POINTER_MAX + 1), format!("{}…", "é".repeat(POINTER_MAX)));
    }
}
