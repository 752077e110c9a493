//! Tests of reading JSON objects.

use serde_json::{Map, Value, json};

use super::{Changed, Fields, FromFields, Scope};
use crate::change::Change;
use crate::refusal::{FieldErrors, Refusal};

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
        let scope = fields.member::<Option<Scope>>("scope").flatten().map(|Scope(names)| names);
        fields.optional_integer("count", 1, 10);
        Some(Self { title: title?, shared, scope })
    }
}

fn read(value: Value) -> Result<Sample, Refusal> {
    Fields::draft(value)?.finish(Vec::new())
}

fn pointers(value: Value) -> Vec<(String, String)> {
    let refusal = read(value).expect_err("something is wrong");
    refusal.field_errors().iter().map(|error| (error.pointer.to_string(), error.code.to_string())).collect()
}

#[test]
fn all_errors_are_reported_at_once() {
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
    assert_eq!(pointers(json!({"title": "a\0"})), [("/title".to_owned(), "invalid_character".to_owned())]);
    assert_eq!(pointers(json!({"title": "abcdef"})), [("/title".to_owned(), "too_long".to_owned())]);
}

#[test]
fn whole_number_may_have_a_zero_fraction() {
    for (count, code) in [
        (json!(7), None),
        (json!(7.0), None),
        (json!(1e1), None),
        (json!(11.0), Some("out_of_range")),
        (json!(-1e300), Some("out_of_range")),
        (json!(u64::MAX), Some("out_of_range")),
        (json!(7.5), Some("wrong_type")),
    ] {
        let read = read(json!({"title": "x", "count": count}));
        let found = read.err().map(|refusal| refusal.field_errors()[0].code);
        assert_eq!(found, code, "{count}");
    }
}

#[test]
fn empty_or_spaced_scope_name_is_refused() {
    for scope in [json!([]), json!([""]), json!(["a", ""]), json!(" "), json!(["a b"])] {
        let found = pointers(json!({"title": "x", "scope": scope}));
        assert_eq!(found.len(), 1, "{scope}");
    }
}

#[test]
fn scope_is_sorted_as_text_and_as_list() {
    for scope in [json!("b a  b"), json!(["b", "a"])] {
        let sample: Sample = read(json!({"title": "x", "scope": scope})).expect("all is well");
        assert_eq!(sample.scope, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!((sample.title.as_str(), sample.shared), ("x", None));
    }
}

#[test]
fn duplicate_member_is_reported_with_all_other_errors() {
    let refusal = Fields::read_text::<Sample>(br#"{"title":"x","shared":1,"title":"y"}"#);
    let refusal = refusal.expect_err("twice");
    let found: Vec<_> =
        refusal.field_errors().iter().map(|error| (error.pointer.as_str(), error.code)).collect();
    assert_eq!(found, [("/title", "duplicate_field"), ("/shared", "wrong_type")]);
}

#[test]
fn body_full_of_errors_gets_a_bounded_list() {
    let strange: Map<String, Value> =
        (0..3_000).map(|n| (format!("{n}{}", "x".repeat(300)), json!(1))).collect();
    let refusal = read(Value::Object(strange)).expect_err("strange");
    let errors = refusal.field_errors();
    assert_eq!(errors.len(), 51);
    assert!(errors.iter().all(|error| error.pointer.chars().count() <= 102), "{errors:?}");
    assert_eq!(errors[50].detail, "2951 more errors");
}

#[test]
fn number_beyond_64_bits_is_out_of_range() {
    for number in ["18446744073709551616", "1e300", "-9223372036854775809"] {
        let text = format!("{{\"title\":\"x\",\"count\":{number}}}");
        let refusal = Fields::read_text::<Sample>(text.as_bytes()).expect_err("too large");
        assert_eq!(refusal.field_errors()[0].code, "out_of_range", "{number}");
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
fn optional_text_may_be_null() {
    let nullable = |of: Value, name: &str| one(of, |fields| fields.nullable_text(name));
    assert_eq!(nullable(json!("x"), "of"), (Change::Set("x".into()), vec![]));
    assert_eq!(nullable(Value::Null, "of"), (Change::Clear, vec![]));
    assert_eq!(nullable(Value::Null, "other"), (Change::Keep, vec![]));
    let optional = |of: Value| one(of, |fields| fields.optional_text("of"));
    assert_eq!(optional(json!("x")), (Some("x".into()), vec![]));
    assert_eq!(optional(Value::Null), (None, vec![]));
}

#[test]
fn null_is_refused_for_a_required_member() {
    let refused =
        [("wrong_type", "null would remove it, and it is required; send a value or leave it out".to_owned())];
    assert_eq!(one(Value::Null, |fields| fields.changed_text("of")), (None, refused.to_vec()));
    assert_eq!(
        one(Value::Null, |fields| fields.member::<Changed<bool>>("of").and_then(|flag| flag.0)),
        (None, refused.to_vec())
    );
    assert_eq!(one(json!("x"), |fields| fields.changed_text("of")), (Some("x".into()), vec![]));
    assert_eq!(
        one(json!(true), |fields| fields.member::<Changed<bool>>("of").and_then(|flag| flag.0)),
        (Some(true), vec![])
    );
    let left_out = |fields: &mut Fields| {
        (fields.changed_text("x"), fields.member::<Changed<bool>>("x").and_then(|flag| flag.0))
    };
    assert_eq!(one(json!(1), left_out), ((None, None), vec![]));
}

#[test]
fn wrong_type_error_names_the_type_found() {
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
fn text_length_is_exact_to_the_character() {
    let within = |text: &str, least| {
        let (made, wrong) = one(Value::Null, |fields| fields.within("of", Some(text.into()), least, 3));
        (made.is_some(), wrong.into_iter().next().map(|(_, detail)| detail))
    };
    assert_eq!(within("\u{e4}", 1), (true, None));
    assert_eq!(within("\u{e4}bc", 3), (true, None));
    assert_eq!(within("", 1), (false, Some("must not be empty".into())));
    assert_eq!(within("a", 2), (false, Some("at least 2 characters".into())));
    assert_eq!(within("abcd", 1), (false, Some("4 characters were sent, but only 3 are allowed".into())));
    let label = |text: &str| one(Value::Null, |fields| fields.label("of", Some(text.into()), 3));
    assert_eq!(label("a b"), (Some("a b".into()), vec![]));
    let (made, wrong) = label("a\u{202e}");
    assert_eq!((made, wrong.len()), (None, 1));
}

#[test]
fn every_invalid_scope_name_is_reported_at_its_position() {
    let scope = json!(["notes:read", "", 7, "a b", "notes:write"]);
    let refusal = read(json!({"title": "x", "scope": scope})).expect_err("bad names");
    let found: Vec<_> =
        refusal.field_errors().iter().map(|error| (error.pointer.as_str(), error.code)).collect();
    assert_eq!(found, [("/scope/1", "invalid"), ("/scope/2", "wrong_type"), ("/scope/3", "invalid")]);
    let refusal = read(json!({"title": "x", "scope": "a \u{e9} b \u{e8}"})).expect_err("bad names");
    let found: Vec<_> = refusal.field_errors().iter().map(|error| &error.detail[..7]).collect();
    assert_eq!(found, ["name 2:", "name 4:"]);
}

#[test]
fn scope_holds_at_most_a_hundred_text_names() {
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
