//! Reads a JSON object member by member, so that all errors are reported at once (RFC 9457).

use std::borrow::Cow;

use serde_json::{Map, Value};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use super::{json, label};
use crate::change::Change;
use crate::refusal::{FieldError, FieldErrors, Problem, without_credentials};

/// A parse error of a member, with the code for its entry in `errors`.
pub trait FieldFault: std::fmt::Display {
    fn code(&self) -> &'static str;
}

/// The members of a JSON object that have not been read yet, and the errors found so far.
pub struct Fields {
    members: Map<String, Value>,
    errors: FieldErrors,
}

/// The most names in a scope, and the most characters in a name.
const SCOPE_MAX: usize = 100;
const SCOPE_NAME_MAX: usize = 100;

/// The OpenAPI schema of a scope in both of its forms; see [`Fields::scope`].
pub struct Scope;

impl utoipa::ToSchema for Scope {}

impl utoipa::PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        let name = format!(r"[!#-\[\]-~]{{1,{SCOPE_NAME_MAX}}}");
        let text = format!("^ *{name}( +{name}){{0,{}}} *$", SCOPE_MAX - 1);
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(text));
        let name = ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^{name}$")));
        let list = ArrayBuilder::new().items(name).min_items(Some(1)).max_items(Some(SCOPE_MAX));
        let either = OneOfBuilder::new().item(text).item(list);
        either.description(Some("Names separated by spaces, or a list of names")).into()
    }
}

/// A type that can be read from a JSON object.
pub trait FromFields: Sized {
    /// Reads the members that the type has. Returns `None` if the value cannot be built; `fields` then holds
    /// the errors.
    fn from_fields(fields: &mut Fields) -> Option<Self>;
}

/// A body that was read, with the errors found so far. A handler can add errors that need more than the body,
/// so that all errors are reported at once.
#[derive(Clone, Debug)]
pub struct Draft<T> {
    value: T,
    errors: FieldErrors,
}

impl<T> Draft<T> {
    /// Returns the value. Members with an error have their default.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Returns the value if there are no errors.
    ///
    /// # Errors
    /// `validation_failed` with all errors, `more` included.
    pub fn finish(mut self, more: Vec<FieldError>) -> Result<T, Problem> {
        more.into_iter().for_each(|error| self.errors.push(error));
        if self.errors.is_empty() { Ok(self.value) } else { Err(Problem::of_errors(self.errors)) }
    }
}

impl Fields {
    /// Reads an object that was already parsed.
    ///
    /// # Errors
    /// `validation_failed` with all errors, unknown members included.
    pub fn read<T: FromFields>(value: Value) -> Result<T, Problem> {
        Self::read_parsed(json::Parsed { value, repeated: Vec::new(), more_repeated: 0, is_cut: false })
    }

    /// Parses and reads a body.
    ///
    /// # Errors
    /// `malformed_json`, and those of [`Fields::read`].
    pub fn read_text<T: FromFields>(text: &[u8]) -> Result<T, Problem> {
        Self::read_parsed(json::parse(text)?)
    }

    /// Parses and reads a body, and keeps its errors so that a handler can add more.
    ///
    /// # Errors
    /// `malformed_json`, and `validation_failed` for a body from which no `T` can be built.
    pub fn read_draft<T: FromFields>(text: &[u8]) -> Result<Draft<T>, Problem> {
        match Self::read_members(json::parse(text)?)? {
            (Some(value), errors) => Ok(Draft { value, errors }),
            (None, errors) => Err(Problem::of_errors(errors)),
        }
    }

    fn read_parsed<T: FromFields>(parsed: json::Parsed) -> Result<T, Problem> {
        match Self::read_members(parsed)? {
            (Some(made), errors) if errors.is_empty() => Ok(made),
            (_, errors) => Err(Problem::of_errors(errors)),
        }
    }

    fn read_members<T: FromFields>(parsed: json::Parsed) -> Result<(Option<T>, FieldErrors), Problem> {
        let mut errors = FieldErrors::default();
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
            return Err(Problem::of_errors(errors));
        }
        let Value::Object(members) = parsed.value else {
            let detail = format!("expected an object, found {}", kind(&parsed.value));
            return Err(Problem::validation(vec![FieldError::new("", "wrong_type", detail)]));
        };
        let mut fields = Self { members, errors };
        let made = T::from_fields(&mut fields);
        for name in std::mem::take(&mut fields.members).keys() {
            let detail = "this member is not known here; check its spelling or leave it out";
            let error = || FieldError::new(json::step(name), "unknown_field", detail.to_owned());
            fields.errors.push_with(error);
        }
        Ok((made, fields.errors))
    }

    /// Records an error of a member.
    pub fn refuse(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        self.errors.push(FieldError::new(json::step(name), code, detail.into()));
    }

    /// Reads a required text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.members.remove(name) {
            Some(value) => self.as_text(name, value),
            None => self.missing(name),
        }
    }

    /// Reads an optional text. Null counts as omitted.
    pub fn optional_text(&mut self, name: &str) -> Option<String> {
        self.nullable_text(name).new_value()
    }

    /// Reads an optional text of a merge patch. Null removes it.
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

    /// Reads a text of a merge patch. It may be omitted, but null is refused.
    pub fn changed_text(&mut self, name: &str) -> Option<String> {
        if self.is_kept(name) { self.optional_text(name) } else { None }
    }

    /// Reads a `true` or `false` of a merge patch. It may be omitted, but null is refused.
    pub fn changed_flag(&mut self, name: &str) -> Option<bool> {
        if self.is_kept(name) { self.optional_flag(name) } else { None }
    }

    /// Checks that a text has `least` to `most` characters. An absent text stays absent.
    pub fn within(&mut self, name: &str, text: Option<String>, least: usize, most: usize) -> Option<String> {
        let text = text?;
        let length = text.chars().count();
        if length < least {
            let detail =
                if least == 1 { "must not be empty".into() } else { format!("at least {least} characters") };
            self.refuse(name, "too_short", detail);
            return None;
        }
        if length > most {
            self.refuse(name, "too_long", format!("{length} characters, of which {most} are allowed"));
            return None;
        }
        Some(text)
    }

    /// Checks that a label has 1 to `most` characters and passes [`label::check`]. An absent label stays
    /// absent.
    pub fn label(&mut self, name: &str, text: Option<String>, most: usize) -> Option<String> {
        let text = self.within(name, text, 1, most)?;
        match label::check(&text) {
            Ok(()) => Some(text),
            Err(flaw) => {
                self.refuse(name, flaw.code(), flaw.to_string());
                None
            }
        }
    }

    /// Checks a label that the audit log will keep. Such a label must not contain a credential.
    pub fn audited_label(&mut self, name: &str, text: Option<String>, most: usize) -> Option<String> {
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
    pub fn parsed<T, E: FieldFault>(&mut self, name: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|fault| self.refuse(name, fault.code(), fault.to_string())).ok()
    }

    /// Reads an optional `true` or `false`. Null counts as omitted.
    pub fn optional_flag(&mut self, name: &str) -> Option<bool> {
        match self.members.remove(name)? {
            Value::Null => None,
            Value::Bool(flag) => Some(flag),
            other => self.wrong_type(name, "true or false", &other),
        }
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

    /// Reads a required scope: names separated by spaces (RFC 6749, section 3.3), or a list of names.
    pub fn scope(&mut self, name: &str) -> Option<Vec<String>> {
        if !self.members.contains_key(name) {
            return self.missing(name);
        }
        self.optional_scope(name)
    }

    /// Reads an optional scope, sorted and without duplicates. Null counts as omitted.
    pub fn optional_scope(&mut self, name: &str) -> Option<Vec<String>> {
        let (items, is_list) = match self.members.remove(name)? {
            Value::Null => return None,
            Value::String(text) => {
                let names = text.split(' ').filter(|name| !name.is_empty()).take(SCOPE_MAX + 1);
                (names.map(Value::from).collect(), false)
            }
            Value::Array(items) => (items, true),
            other => return self.wrong_type(name, "names separated by spaces, or a list of names", &other),
        };
        if items.is_empty() {
            self.refuse(name, "too_short", "must name at least one permission; leave it out to get all");
            return None;
        }
        if items.len() > SCOPE_MAX {
            self.refuse(name, "invalid", format!("at most {SCOPE_MAX} names are allowed"));
            return None;
        }
        let names =
            items.into_iter().enumerate().map(|(index, item)| self.scope_name(name, index, item, is_list));
        // Collecting first checks every name, so that each bad one is reported.
        let names: Vec<Option<String>> = names.collect();
        let mut scope: Vec<String> = names.into_iter().collect::<Option<_>>()?;
        scope.sort();
        scope.dedup();
        Some(scope)
    }

    /// Checks a name of a scope (RFC 6749, section 3.3: `scope-token`). An error in a list points to the
    /// item; an error in a text gives the number of the name in its detail.
    fn scope_name(&mut self, member: &str, index: usize, item: Value, is_list: bool) -> Option<String> {
        let is_token = |name: &str| name.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        let (code, detail) = match item {
            Value::String(name) if (1..=SCOPE_NAME_MAX).contains(&name.len()) && is_token(&name) => {
                return Some(name);
            }
            Value::String(_) => ("invalid", "a name has 1 to 100 visible ASCII characters".to_owned()),
            other => ("wrong_type", format!("expected a text, found {}", kind(&other))),
        };
        let (item, place) = if is_list {
            (format!("/{index}"), String::new())
        } else {
            (String::new(), format!("name {}: ", index + 1))
        };
        let pointer = format!("{}{item}", json::step(member));
        self.errors.push(FieldError::new(pointer, code, format!("{place}{detail}")));
        None
    }

    fn as_text(&mut self, name: &str, value: Value) -> Option<String> {
        match value {
            // PostgreSQL cannot store U+0000 in a text.
            Value::String(text) if text.contains('\0') => {
                self.refuse(name, "invalid_character", "U+0000 cannot stand in a text");
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug)]
    struct Sample {
        title: String,
        shared: Option<bool>,
        scope: Option<Vec<String>>,
    }

    impl FromFields for Sample {
        fn from_fields(fields: &mut Fields) -> Option<Self> {
            let title = fields.text("title");
            let title = fields.within("title", title, 1, 5);
            let shared = fields.optional_flag("shared");
            let scope = fields.optional_scope("scope");
            fields.optional_integer("count", 1, 10);
            Some(Self { title: title?, shared, scope })
        }
    }

    fn pointers(value: Value) -> Vec<(String, String)> {
        let problem = Fields::read::<Sample>(value).expect_err("something is wrong");
        problem
            .field_errors()
            .iter()
            .map(|error| (error.pointer.to_string(), error.code.to_string()))
            .collect()
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let found = pointers(json!({"title": 7, "shared": "yes", "count": 11, "a/b~c": 1}));
        let expected = [
            ("/title", "wrong_type"),
            ("/shared", "wrong_type"),
            ("/count", "out_of_range"),
            ("/a~1b~0c", "unknown_field"),
        ];
        let expected: Vec<_> = expected.iter().map(|(p, c)| ((*p).to_owned(), (*c).to_owned())).collect();
        assert_eq!(found, expected);
        assert_eq!(pointers(json!([])), [(String::new(), "wrong_type".to_owned())]);
        assert_eq!(pointers(json!({})), [("/title".to_owned(), "missing_field".to_owned())]);
        assert_eq!(
            pointers(json!({"title": "a\0"})),
            [("/title".to_owned(), "invalid_character".to_owned())]
        );
        assert_eq!(pointers(json!({"title": "abcdef"})), [("/title".to_owned(), "too_long".to_owned())]);
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_nothing() {
        for (count, code) in [
            (json!(7), None),
            (json!(7.0), None),
            (json!(1e1), None),
            (json!(11.0), Some("out_of_range")),
            (json!(-1e300), Some("out_of_range")),
            (json!(u64::MAX), Some("out_of_range")),
            (json!(7.5), Some("wrong_type")),
        ] {
            let read = Fields::read::<Sample>(json!({"title": "x", "count": count}));
            let found = read.err().map(|problem| problem.field_errors()[0].code);
            assert_eq!(found, code, "{count}");
        }
    }

    #[test]
    fn a_name_in_a_scope_is_not_empty() {
        for scope in [json!([]), json!([""]), json!(["a", ""]), json!(" "), json!(["a b"])] {
            let found = pointers(json!({"title": "x", "scope": scope}));
            assert_eq!(found.len(), 1, "{scope}");
        }
    }

    #[test]
    fn a_scope_is_sorted_whichever_way_it_is_written() {
        for scope in [json!("b a  b"), json!(["b", "a"])] {
            let sample: Sample = Fields::read(json!({"title": "x", "scope": scope})).expect("all is well");
            assert_eq!(sample.scope, Some(vec!["a".to_owned(), "b".to_owned()]));
            assert_eq!((sample.title.as_str(), sample.shared), ("x", None));
        }
    }

    #[test]
    fn a_member_that_stands_twice_is_told_with_all_else_that_is_wrong() {
        let problem = Fields::read_text::<Sample>(br#"{"title":"x","shared":1,"title":"y"}"#);
        let problem = problem.expect_err("twice");
        let found: Vec<_> =
            problem.field_errors().iter().map(|error| (error.pointer.as_str(), error.code)).collect();
        assert_eq!(found, [("/title", "duplicate_field"), ("/shared", "wrong_type")]);
    }

    #[test]
    fn a_body_of_nothing_but_mistakes_gets_a_short_answer() {
        let strange: Map<String, Value> =
            (0..3_000).map(|n| (format!("{n}{}", "x".repeat(300)), json!(1))).collect();
        let problem = Fields::read::<Sample>(Value::Object(strange)).expect_err("strange");
        let errors = problem.field_errors();
        assert_eq!(errors.len(), 51);
        assert!(errors.iter().all(|error| error.pointer.chars().count() <= 102), "{errors:?}");
        assert_eq!(errors[50].detail, "2951 more things are wrong");
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_out_of_range() {
        for number in ["18446744073709551616", "1e300", "-9223372036854775809"] {
            let text = format!("{{\"title\":\"x\",\"count\":{number}}}");
            let problem = Fields::read_text::<Sample>(text.as_bytes()).expect_err("too large");
            assert_eq!(problem.field_errors()[0].code, "out_of_range", "{number}");
        }
    }

    /// Reads from an object with the member `of`, and returns the result and the errors.
    fn one<T>(of: Value, read: impl FnOnce(&mut Fields) -> T) -> (T, Vec<(&'static str, String)>) {
        let members = Map::from_iter([("of".to_owned(), of)]);
        let mut fields = Fields { members, errors: FieldErrors::default() };
        let made = read(&mut fields);
        (made, fields.errors.into_entries().into_iter().map(|error| (error.code, error.detail)).collect())
    }

    #[test]
    fn a_text_may_be_null_where_it_may_be_left_out() {
        let nullable = |of: Value, name: &str| one(of, |fields| fields.nullable_text(name));
        assert_eq!(nullable(json!("x"), "of"), (Change::Set("x".into()), vec![]));
        assert_eq!(nullable(Value::Null, "of"), (Change::Clear, vec![]));
        assert_eq!(nullable(Value::Null, "other"), (Change::Keep, vec![]));
        let optional = |of: Value| one(of, |fields| fields.optional_text("of"));
        assert_eq!(optional(json!("x")), (Some("x".into()), vec![]));
        assert_eq!(optional(Value::Null), (None, vec![]));
    }

    #[test]
    fn null_removes_no_required_member() {
        let refused = [(
            "wrong_type",
            "null would remove it, and it is required; send a value or leave it out".to_owned(),
        )];
        assert_eq!(one(Value::Null, |fields| fields.changed_text("of")), (None, refused.to_vec()));
        assert_eq!(one(Value::Null, |fields| fields.changed_flag("of")), (None, refused.to_vec()));
        assert_eq!(one(json!("x"), |fields| fields.changed_text("of")), (Some("x".into()), vec![]));
        assert_eq!(one(json!(true), |fields| fields.changed_flag("of")), (Some(true), vec![]));
        let left_out = |fields: &mut Fields| (fields.changed_text("x"), fields.changed_flag("x"));
        assert_eq!(one(json!(1), left_out), ((None, None), vec![]));
    }

    #[test]
    fn what_is_of_another_type_is_told_with_what_it_is() {
        for (value, kind) in [
            (Value::Null, "null"),
            (json!(true), "true or false"),
            (json!(1), "a number"),
            (json!([]), "a list"),
            (json!({}), "an object"),
        ] {
            let (made, wrong) = one(value, |fields| fields.text("of"));
            assert_eq!((made, wrong), (None, vec![("wrong_type", format!("expected a text, found {kind}"))]));
        }
        let (made, wrong) = one(json!("yes"), |fields| fields.optional_flag("of"));
        let detail = "expected true or false, found a text".to_owned();
        assert_eq!((made, wrong), (None, vec![("wrong_type", detail)]));
    }

    #[test]
    fn a_text_is_measured_to_the_character() {
        let within = |text: &str, least| {
            let (made, wrong) = one(Value::Null, |fields| fields.within("of", Some(text.into()), least, 3));
            (made.is_some(), wrong.into_iter().next().map(|(_, detail)| detail))
        };
        assert_eq!(within("\u{e4}", 1), (true, None));
        assert_eq!(within("\u{e4}bc", 3), (true, None));
        assert_eq!(within("", 1), (false, Some("must not be empty".into())));
        assert_eq!(within("a", 2), (false, Some("at least 2 characters".into())));
        assert_eq!(within("abcd", 1), (false, Some("4 characters, of which 3 are allowed".into())));
        let label = |text: &str| one(Value::Null, |fields| fields.label("of", Some(text.into()), 3));
        assert_eq!(label("a b"), (Some("a b".into()), vec![]));
        let (made, wrong) = label("a\u{202e}");
        assert_eq!((made, wrong.len()), (None, 1));
    }

    #[test]
    fn every_bad_name_of_a_scope_is_named_at_its_place() {
        let scope = json!(["notes:read", "", 7, "a b", "notes:write"]);
        let problem = Fields::read::<Sample>(json!({"title": "x", "scope": scope})).expect_err("bad names");
        let found: Vec<_> =
            problem.field_errors().iter().map(|error| (error.pointer.as_str(), error.code)).collect();
        assert_eq!(found, [("/scope/1", "invalid"), ("/scope/2", "wrong_type"), ("/scope/3", "invalid")]);
        let problem = Fields::read::<Sample>(json!({"title": "x", "scope": "a \u{e9} b \u{e8}"}))
            .expect_err("bad names");
        let found: Vec<_> = problem.field_errors().iter().map(|error| &error.detail[..7]).collect();
        assert_eq!(found, ["name 2:", "name 4:"]);
    }

    #[test]
    fn a_scope_holds_at_most_a_hundred_names_that_are_texts() {
        let scope = |of: Value| one(of, |fields| fields.scope("of"));
        let names = |count: usize| (0..count).map(|n| format!("{n:03}")).collect::<Vec<_>>();
        let long = vec!["x".repeat(100)];
        for good in [names(100), long] {
            assert_eq!(scope(json!(good)), (Some(good), vec![]));
        }
        for bad in [json!(names(101)), json!([1, "notes:read"]), json!(["x".repeat(101)]), json!(7)] {
            let (made, wrong) = scope(bad.clone());
            assert_eq!((made, wrong.len()), (None, 1), "{bad}");
        }
        let (made, wrong) = one(Value::Null, |fields| fields.scope("other"));
        assert_eq!((made, wrong[0].0), (None, "missing_field"));
    }
}
