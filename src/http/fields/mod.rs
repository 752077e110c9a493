//! Reads a JSON object member by member, so that all errors are reported at once (RFC 9457).

mod object;
mod scope;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{json, label};
use crate::change::Change;
use crate::refusal::{FieldError, FieldErrors, Refusal, without_credentials};

pub(crate) use object::json_object;
pub use object::{describe_member, describe_object};
pub use scope::Scope;
pub use value::{About, AuditedLabel, Changed, FieldValue, Flag, Label, Member, Text};

/// A parse error of a member, with the code for its entry in `errors`.
pub trait FieldErrorCode: std::fmt::Display {
    fn code(&self) -> &'static str;
}

/// The members of a JSON object that have not been read yet, and the errors found so far.
pub struct Fields {
    members: Map<String, Value>,
    errors: FieldErrors,
}

/// A type that can be read from a JSON object.
pub trait FromFields: Sized {
    /// Reads the members that the type has. Returns `None` if the value cannot be built; `fields` then holds
    /// the errors.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

/// A body or query that was read, with the errors found so far. A handler can add errors that need more than
/// the request, so that all errors are reported at once.
#[derive(Clone, Debug)]
pub struct Draft<T> {
    value: T,
    errors: FieldErrors,
}

impl<T> Draft<T> {
    pub(super) fn new(value: T, errors: FieldErrors) -> Self {
        Self { value, errors }
    }

    /// Changes the value, and keeps the errors.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Draft<U> {
        Draft { value: change(self.value), errors: self.errors }
    }

    /// Returns true if an error was found so far.
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Returns the value. Members with an error have their default.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Returns the value if there are no errors.
    ///
    /// # Errors
    /// `validation_failed` with all errors, `more` included.
    pub fn finish(mut self, more: Vec<FieldError>) -> Result<T, Refusal> {
        more.into_iter().for_each(|error| self.errors.push(error));
        if self.errors.is_empty() { Ok(self.value) } else { Err(Refusal::of_errors(self.errors)) }
    }
}

impl Fields {
    /// Reads an object that was already parsed, and keeps its errors so that a handler can add more.
    ///
    /// # Errors
    /// `validation_failed` for an object from which no `T` can be built.
    pub fn draft<T: FromFields>(value: Value) -> Result<Draft<T>, Refusal> {
        let parsed = json::Parsed { value, repeated: Vec::new(), more_repeated: 0, is_cut: false };
        Self::read_parsed(parsed, FieldErrors::default())
    }

    /// Parses and reads a body.
    ///
    /// # Errors
    /// `malformed_json`, and `validation_failed` with all errors, unknown members included.
    pub fn read_text<T: FromFields>(text: &[u8]) -> Result<T, Refusal> {
        Self::read_draft(text, FieldErrors::default())?.finish(Vec::new())
    }

    /// Parses and reads a body, and keeps its errors so that a handler can add more. `errors` are those found
    /// in the rest of the request.
    ///
    /// # Errors
    /// `malformed_json`, and `validation_failed` for a body from which no `T` can be built.
    pub fn read_draft<T: FromFields>(text: &[u8], errors: FieldErrors) -> Result<Draft<T>, Refusal> {
        Self::read_parsed(json::parse(text)?, errors)
    }

    fn read_parsed<T: FromFields>(parsed: json::Parsed, errors: FieldErrors) -> Result<Draft<T>, Refusal> {
        match Self::read_members(parsed, errors)? {
            (Some(value), errors) => Ok(Draft { value, errors }),
            (None, errors) => Err(Refusal::of_errors(errors)),
        }
    }

    fn read_members<T: FromFields>(
        parsed: json::Parsed,
        mut errors: FieldErrors,
    ) -> Result<(Option<T>, FieldErrors), Refusal> {
        if parsed.is_cut {
            let detail = format!("the body has more than {} members and items; send fewer", json::VALUES_MAX);
            errors.push(FieldError::new("", "too_many", detail));
        }
        for pointer in parsed.repeated {
            let detail = "this member was sent more than once; send it once";
            errors.push(FieldError::new(pointer, "duplicate_field", detail.to_owned()));
        }
        errors.count(parsed.more_repeated);
        if parsed.is_cut {
            return Err(Refusal::of_errors(errors));
        }
        let Value::Object(members) = parsed.value else {
            let detail = format!("expected an object, found {}", kind(&parsed.value));
            errors.push(FieldError::new("", "wrong_type", detail));
            return Err(Refusal::of_errors(errors));
        };
        let mut fields = Self { members, errors };
        let made = T::from_fields(&mut fields);
        for name in std::mem::take(&mut fields.members).keys() {
            let detail = "this member is unknown; check its spelling or leave it out";
            let error = || FieldError::new(json::step(name), "unknown_field", detail.to_owned());
            fields.errors.push_with(error);
        }
        Ok((made, fields.errors))
    }

    /// Records an error of a member.
    pub fn refuse(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        self.errors.push(FieldError::new(json::step(name), code, detail.into()));
    }

    /// Reads a member. Returns `None` if it is refused.
    pub fn member<T: Member>(&mut self, name: &str) -> Option<T> {
        T::read(self, name)
    }

    /// Reads a required string.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.member(name)
    }

    /// Reads an optional string. Null counts as omitted.
    pub fn optional_text(&mut self, name: &str) -> Option<String> {
        self.member(name).flatten()
    }

    /// Reads an optional string of a merge patch. Null removes it.
    pub fn nullable_text(&mut self, name: &str) -> Change<String> {
        match self.members.remove(name) {
            None => Change::Keep,
            Some(Value::Null) => Change::Clear,
            Some(value) => self.as_text(name, value).map_or(Change::Keep, Change::Set),
        }
    }

    /// Returns false and records an error if a member is null. In a merge patch, null removes a member
    /// (RFC 7396, section 2), and this one cannot be removed.
    fn is_kept(&mut self, name: &str) -> bool {
        let is_null = self.members.get(name).is_some_and(Value::is_null);
        if is_null {
            self.members.remove(name);
            self.refuse(
                name,
                "wrong_type",
                "null would remove it, and it is required; send a value or leave it out",
            );
        }
        !is_null
    }

    /// Reads a string of a merge patch. It may be omitted, but null is refused.
    pub fn changed_text(&mut self, name: &str) -> Option<String> {
        self.member::<Changed<String>>(name)?.0
    }

    /// Checks that a string has `least` to `most` characters. An absent string stays absent.
    fn within(&mut self, name: &str, text: Option<String>, least: usize, most: usize) -> Option<String> {
        let text = text?;
        let length = text.chars().count();
        if length < least {
            let detail =
                if least == 1 { "must not be empty".into() } else { format!("at least {least} characters") };
            self.refuse(name, "too_short", detail);
            return None;
        }
        if length > most {
            self.refuse(
                name,
                "too_long",
                format!("{length} characters were sent, but only {most} are allowed"),
            );
            return None;
        }
        Some(text)
    }

    /// Checks that a label has 1 to `most` characters and passes [`label::check`]. An absent label stays
    /// absent.
    fn label(&mut self, name: &str, text: Option<String>, most: usize) -> Option<String> {
        let text = self.within(name, text, 1, most)?;
        match label::check(&text) {
            Ok(()) => Some(text),
            Err(error) => {
                self.refuse(name, error.code(), error.to_string());
                None
            }
        }
    }

    /// Checks a label that the audit log will keep. Such a label must not contain a credential.
    fn audited_label(&mut self, name: &str, text: Option<String>, most: usize) -> Option<String> {
        let text = self.label(name, text, most)?;
        if matches!(without_credentials(&text), Cow::Borrowed(_)) {
            return Some(text);
        }
        let detail =
            "contains a token, and this name is shown and kept in the audit log; send a name without one";
        self.refuse(name, "contains_credential", detail);
        None
    }

    /// Returns the parsed value, or records its error for the member.
    pub fn parsed<T, E: FieldErrorCode>(&mut self, name: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|fault| self.refuse(name, fault.code(), fault.to_string())).ok()
    }

    /// Reads an optional `true` or `false`. Null counts as omitted.
    pub fn optional_flag(&mut self, name: &str) -> Option<bool> {
        self.member(name).flatten()
    }

    /// Reads an optional whole number from `least` to `most`. Null counts as omitted.
    pub fn optional_integer(&mut self, name: &str, least: i64, most: i64) -> Option<i64> {
        let value = self.members.remove(name)?;
        if value.is_null() {
            return None;
        }
        // Some clients write `7` as `7.0`. The cast saturates for numbers beyond 64 bits, which are then out
        // of range.
        let whole = || value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64);
        let Some(number) = value.as_i64().or_else(whole) else {
            return self.wrong_type(name, "a whole number", &value);
        };
        if !(least..=most).contains(&number) {
            self.refuse(name, "out_of_range", format!("{value} is not between {least} and {most}"));
            return None;
        }
        Some(number)
    }

    fn as_text(&mut self, name: &str, value: Value) -> Option<String> {
        match value {
            // PostgreSQL cannot store U+0000 in a string.
            Value::String(text) if text.contains('\0') => {
                self.refuse(name, "invalid_character", "U+0000 is not allowed in a text");
                None
            }
            Value::String(text) => Some(text),
            other => self.wrong_type(name, "a text", &other),
        }
    }

    fn missing<T>(&mut self, name: &str) -> Option<T> {
        self.refuse(name, "missing_field", "this member is required");
        None
    }

    fn wrong_type<T>(&mut self, name: &str, expected: &str, found: &Value) -> Option<T> {
        self.refuse(name, "wrong_type", format!("expected {expected}, found {}", kind(found)));
        None
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
