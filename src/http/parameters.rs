//! Reads a query string, and reports all errors at once (RFC 9457).

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Display;

use actix_web::error::QueryPayloadError;
use actix_web::web::Query;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::fields::Draft;
use crate::refusal::{FieldError, FieldErrors, Refusal};

/// The number of parameters that are read, more than any endpoint accepts. Further ones are only counted.
const PARAMETERS_MAX: usize = 100;

/// The codes that can be passed to [`refuse`].
const CODES: [&str; 3] = ["invalid", "invalid_cursor", "out_of_range"];

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The parameters of an endpoint that reads none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

/// Returns an error for each parameter of a query that the endpoint does not read.
pub(crate) fn refuse_all(query: &str) -> FieldErrors {
    read_valid::<NoParameters>(query).1
}

/// Reads a query string. Every member of `T` must be optional, since the error search reads parameters one by
/// one.
///
/// # Errors
/// `validation_failed` with all errors.
pub(crate) fn read<T: DeserializeOwned>(query: &str) -> Result<T, Refusal> {
    match read_valid(query) {
        (Some(read), errors) if errors.is_empty() => Ok(read),
        (_, errors) => Err(Refusal::of_errors(errors)),
    }
}

/// Reads a query string, and keeps its errors so that a handler can add more. Parameters with an error are
/// left out of the value.
///
/// # Errors
/// `validation_failed` for a query from which no `T` can be built.
pub(crate) fn read_draft<T: DeserializeOwned>(query: &str) -> Result<Draft<T>, Refusal> {
    match read_valid(query) {
        (Some(value), errors) => Ok(Draft::new(value, errors)),
        (None, errors) => Err(Refusal::of_errors(errors)),
    }
}

fn read_valid<T: DeserializeOwned>(query: &str) -> (Option<T>, FieldErrors) {
    let sent = query.split('&').filter(|pair| !pair.is_empty()).count();
    if sent <= PARAMETERS_MAX
        && !query.contains("%00")
        && let Ok(read) = Query::<T>::from_query(query)
    {
        return (Some(read.into_inner()), FieldErrors::default());
    }
    let mut errors = FieldErrors::default();
    if sent > PARAMETERS_MAX {
        let detail =
            format!("the query has {sent} parameters, but only {PARAMETERS_MAX} are read; send fewer");
        errors.push(FieldError::new("", "too_many", detail));
    }
    let pairs: Vec<Pair<'_>> = url::form_urlencoded::parse(query.as_bytes()).take(PARAMETERS_MAX).collect();
    let mut seen = HashSet::new();
    for pair in &pairs {
        if !seen.insert(&pair.0)
            && let Some(error) = repetition::<T>(pair)
        {
            errors.push(error);
        }
    }
    let (mut taken, mut valid) = (HashSet::new(), Vec::new());
    for pair in &pairs {
        match mistake::<T>(pair) {
            Some(error) => errors.push(error),
            None if taken.insert(&pair.0) => valid.push(pair),
            None => {}
        }
    }
    (parse(&valid).ok(), errors)
}

fn parse<T: DeserializeOwned>(pairs: &[&Pair<'_>]) -> Result<T, QueryPayloadError> {
    let query =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs.iter().copied()).finish();
    Query::<T>::from_query(&query).map(Query::into_inner)
}

/// Returns serde's reason why these parameters alone are not a `T`; `None` if they are.
fn reason<T: DeserializeOwned>(pairs: &[&Pair<'_>]) -> Option<String> {
    match parse::<T>(pairs) {
        Err(QueryPayloadError::Deserialize(reason)) => Some(reason.to_string()),
        Err(_) => Some(String::new()),
        Ok(_) => None,
    }
}

/// Returns the error for a repeated parameter, unless `T` ignores its name.
fn repetition<T: DeserializeOwned>(pair: &Pair<'_>) -> Option<FieldError> {
    let is_known = match reason::<T>(&[pair]) {
        Some(reason) => !reason.starts_with("unknown field"),
        None => reason::<T>(&[pair, pair]).is_some(),
    };
    let detail = "this parameter was sent more than once; send it once".to_owned();
    is_known.then(|| FieldError::new(super::json::step(&pair.0), "duplicate_field", detail))
}

/// Returns the error of a single parameter.
fn mistake<T: DeserializeOwned>(pair: &Pair<'_>) -> Option<FieldError> {
    let (code, detail) = if [&pair.0, &pair.1].iter().any(|text| text.contains('\0')) {
        ("invalid_character", "U+0000 is not allowed in a parameter".to_owned())
    } else {
        let reason = reason::<T>(&[pair])?;
        let own =
            CODES.into_iter().find_map(|code| Some((code, reason.strip_prefix(code)?.strip_prefix(": ")?)));
        match own {
            Some((code, detail)) => (code, detail.to_owned()),
            None if reason.starts_with("unknown field") => {
                let detail = "this parameter is unknown; check its spelling or leave it out";
                ("unknown_field", detail.to_owned())
            }
            None => (
                "invalid",
                "this value has the wrong type; /openapi.json says which type the parameter has".to_owned(),
            ),
        }
    };
    Some(FieldError::new(super::json::step(&pair.0), code, detail))
}

/// Creates a deserialization error whose entry in `errors` will have this code, one of [`CODES`].
pub(crate) fn refuse<E: serde::de::Error>(code: &'static str, detail: impl Display) -> E {
    E::custom(format!("{code}: {detail}"))
}

/// Parses one of the given values.
///
/// # Errors
/// `invalid`, with the accepted values.
pub(crate) fn one_of<'de, D: Deserializer<'de>>(
    deserializer: D,
    values: &[&str],
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if values.contains(&text.as_str()) {
        return Ok(text);
    }
    let named: Vec<&str> = values.iter().copied().filter(|value| !value.is_empty()).collect();
    Err(refuse("invalid", format!("send one of `{}`, or leave it out", named.join("`, `"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::pagination::{Cursor, PageSize};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        q: Option<String>,
        shared: Option<bool>,
        limit: Option<PageSize>,
        cursor: Option<Cursor>,
    }

    #[derive(Debug, Deserialize)]
    struct Tolerant {
        q: Option<String>,
    }

    fn errors<T: DeserializeOwned + std::fmt::Debug>(query: &str) -> Vec<(String, &'static str)> {
        let refused = read::<T>(query).expect_err("something is wrong");
        refused.field_errors().iter().map(|error| (error.pointer.clone(), error.code)).collect()
    }

    #[test]
    fn every_error_is_reported_at_its_parameter() {
        let found = errors::<Sample>("limit=abc&foo=1&shared=maybe&q=a%00&a/b=2&q=b&cursor=x");
        let expected = [
            ("/q", "duplicate_field"),
            ("/limit", "invalid"),
            ("/foo", "unknown_field"),
            ("/shared", "invalid"),
            ("/q", "invalid_character"),
            ("/a~1b", "unknown_field"),
            ("/cursor", "invalid_cursor"),
        ];
        let expected: Vec<_> =
            expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), *code)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn draft_has_the_valid_parameters_beside_the_errors() {
        let draft = read_draft::<Sample>("q=a&foo=1&shared=maybe&limit=2&q=b").expect("a draft");
        let Sample { q, shared, limit, cursor } = draft.value();
        assert_eq!((q.as_deref(), *shared, limit.map(|PageSize(limit)| limit)), (Some("a"), None, Some(2)));
        assert!(cursor.is_none() && draft.has_errors());
    }

    #[test]
    fn parameters_are_refused_by_types_that_read_none() {
        let pointers = |query: &str| -> Vec<String> {
            refuse_all(query).into_entries().into_iter().map(|error| error.pointer).collect()
        };
        assert_eq!(pointers("a=1&b&%61=2"), ["/a", "/b", "/a"]);
        assert!(pointers("").is_empty() && pointers("&").is_empty());
    }

    #[test]
    fn limit_must_be_within_its_range() {
        let limit = |text: &str| {
            read::<Sample>(&format!("limit={text}")).map(|sample| sample.limit.map(|PageSize(limit)| limit))
        };
        for (text, number) in [("1", 1), ("200", 200), ("%31", 1)] {
            assert_eq!(limit(text).ok(), Some(Some(number)));
        }
        for (text, code) in [
            ("0", "out_of_range"),
            ("201", "out_of_range"),
            ("99999999999", "out_of_range"),
            ("", "invalid"),
            ("1.5", "invalid"),
        ] {
            assert_eq!(limit(text).expect_err("none").field_errors()[0].code, code, "{text}");
        }
    }

    #[test]
    fn unknown_parameters_are_ignored_by_tolerant_types() {
        let read_q = |query: &str| read::<Tolerant>(query).ok().and_then(|read| read.q);
        assert_eq!(read_q("utm=1&q=a&utm=2").as_deref(), Some("a"));
        assert_eq!(errors::<Tolerant>("utm=1&q=a&utm=2&q=b"), [("/q".to_owned(), "duplicate_field")]);
        let sample = read::<Sample>("q=a%20b&shared=true").expect("good");
        assert_eq!(
            (sample.q.as_deref(), sample.shared, sample.cursor.is_none()),
            (Some("a b"), Some(true), true)
        );
    }

    #[test]
    fn parameters_beyond_the_limit_are_counted() {
        let refused = read::<Tolerant>(&"a=1&".repeat(30_000)).expect_err("too many");
        assert_eq!(refused.field_errors().len(), 1);
        assert!(refused.field_errors()[0].detail.contains("30000 parameters"), "{refused:?}");
        assert!(read::<Tolerant>(&"a=1&".repeat(PARAMETERS_MAX)).is_ok());
    }
}
