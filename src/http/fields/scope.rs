//! Reads a scope: names separated by spaces (RFC 6749, section 3.3), or a list of names.

use serde_json::Value;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, RefBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::value::{About, FieldValue};
use super::{Fields, kind};
use crate::http::json;
use crate::refusal::FieldError;

/// The maximum number of names in a scope.
const SCOPE_MAX: usize = 100;
/// The maximum length of a name in a scope, in characters.
const SCOPE_NAME_MAX: usize = 100;

/// A scope: the names of permissions, sorted and without duplicates.
#[derive(Clone, Debug)]
pub struct Scope(pub Vec<String>);

impl FieldValue for Scope {
    fn parse(fields: &mut Fields, name: &str, value: Value) -> Option<Self> {
        fields.as_scope(name, value).map(Self)
    }

    fn describe(about: About) -> RefOr<Schema> {
        let scope = RefBuilder::new().ref_location_from_schema_name(Self::name());
        let scope = scope.description(Some(about.description));
        if about.is_nullable {
            let null = ObjectBuilder::new().schema_type(Type::Null);
            OneOfBuilder::new().item(scope).item(null).into()
        } else {
            RefOr::Ref(scope.build())
        }
    }

    fn components(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Self::name().into_owned(), Self::schema()));
    }
}

impl ToSchema for Scope {}

impl PartialSchema for Scope {
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

impl Fields {
    /// Reads a required scope.
    pub fn scope(&mut self, name: &str) -> Option<Vec<String>> {
        self.member(name).map(|Scope(names)| names)
    }

    fn as_scope(&mut self, name: &str, value: Value) -> Option<Vec<String>> {
        let (items, is_list) = match value {
            Value::String(text) => {
                let names = text.split(' ').filter(|name| !name.is_empty()).take(SCOPE_MAX + 1);
                (names.map(Value::from).collect(), false)
            }
            Value::Array(items) => (items, true),
            other => return self.wrong_type(name, "names separated by spaces, or a list of names", &other),
        };
        if items.is_empty() {
            self.refuse(
                name,
                "too_short",
                "must contain at least one permission; leave the member out to get all",
            );
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
    /// item; an error in a string gives the number of the name in its detail.
    fn scope_name(&mut self, member: &str, index: usize, item: Value, is_list: bool) -> Option<String> {
        let is_token = |name: &str| name.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        let (code, detail) = match item {
            Value::String(name) if (1..=SCOPE_NAME_MAX).contains(&name.len()) && is_token(&name) => {
                return Some(name);
            }
            Value::String(_) => ("invalid", "a name must have 1 to 100 visible ASCII characters".to_owned()),
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
}
