//! The types of members. Each checks itself and describes itself in OpenAPI, so that a bound is written once.

use serde_json::Value;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use super::Fields;

/// A value that a member can have.
pub trait FieldValue: Sized {
    /// Parses the value of the member `name`. Returns `None` if it is refused; `fields` then holds the error.
    fn parse(fields: &mut Fields, name: &str, value: Value) -> Option<Self>;

    /// Describes the value.
    fn describe(about: About) -> RefOr<Schema>;

    /// Lists the named schemas that the description refers to.
    fn components(_: &mut Vec<(String, RefOr<Schema>)>) {}
}

/// The type of a member: a value, or a value that may be missing.
pub trait Member: Sized {
    const IS_REQUIRED: bool;

    /// Reads the member. Returns `None` if it is refused; `fields` then holds the error.
    fn read(fields: &mut Fields, name: &str) -> Option<Self>;

    /// Describes the member.
    fn schema(about: About) -> RefOr<Schema>;

    /// Lists the named schemas that the description refers to.
    fn components(_: &mut Vec<(String, RefOr<Schema>)>) {}
}

/// The parts of a member's description that do not depend on its type alone.
#[derive(Default)]
pub struct About {
    pub description: String,
    pub example: Option<Value>,
    pub default: Option<Value>,
    /// True if null is accepted.
    pub is_nullable: bool,
}

impl About {
    /// Describes a value of this type.
    #[must_use]
    #[expect(deprecated, reason = "utoipa's derive writes `example`, too")]
    pub fn value_of(self, kind: Type) -> ObjectBuilder {
        let kind = if self.is_nullable { SchemaType::from_iter([kind, Type::Null]) } else { kind.into() };
        let value = ObjectBuilder::new().schema_type(kind).description(Some(self.description));
        value.example(self.example).default(self.default)
    }
}

/// A required member.
impl<T: FieldValue> Member for T {
    const IS_REQUIRED: bool = true;

    fn read(fields: &mut Fields, name: &str) -> Option<Self> {
        match fields.members.remove(name) {
            Some(value) => T::parse(fields, name, value),
            None => fields.missing(name),
        }
    }

    fn schema(about: About) -> RefOr<Schema> {
        T::describe(about)
    }

    fn components(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        <T as FieldValue>::components(schemas);
    }
}

/// An optional member. Null counts as omitted.
impl<T: FieldValue> Member for Option<T> {
    const IS_REQUIRED: bool = false;

    fn read(fields: &mut Fields, name: &str) -> Option<Self> {
        match fields.members.remove(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => T::parse(fields, name, value).map(Some),
        }
    }

    fn schema(about: About) -> RefOr<Schema> {
        T::describe(About { is_nullable: true, ..about })
    }

    fn components(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        <T as FieldValue>::components(schemas);
    }
}

/// A member of a merge patch (RFC 7396). It may be omitted, but null is refused.
#[derive(Clone, Copy, Debug)]
pub struct Changed<T>(pub Option<T>);

impl<T: FieldValue> Member for Changed<T> {
    const IS_REQUIRED: bool = false;

    fn read(fields: &mut Fields, name: &str) -> Option<Self> {
        if fields.is_kept(name) { Option::<T>::read(fields, name).map(Self) } else { None }
    }

    fn schema(about: About) -> RefOr<Schema> {
        T::describe(about)
    }
}

/// An optional `true` or `false`. Null counts as omitted.
#[derive(Clone, Copy, Debug)]
pub struct Flag<const DEFAULT: bool>(pub bool);

impl<const DEFAULT: bool> Member for Flag<DEFAULT> {
    const IS_REQUIRED: bool = false;

    fn read(fields: &mut Fields, name: &str) -> Option<Self> {
        Option::<bool>::read(fields, name).map(|flag| Self(flag.unwrap_or(DEFAULT)))
    }

    fn schema(about: About) -> RefOr<Schema> {
        <Option<bool> as Member>::schema(About { default: Some(DEFAULT.into()), ..about })
    }
}

impl FieldValue for bool {
    fn parse(fields: &mut Fields, name: &str, value: Value) -> Option<Self> {
        match value {
            Value::Bool(flag) => Some(flag),
            other => fields.wrong_type(name, "true or false", &other),
        }
    }

    fn describe(about: About) -> RefOr<Schema> {
        about.value_of(Type::Boolean).into()
    }
}

impl FieldValue for String {
    fn parse(fields: &mut Fields, name: &str, value: Value) -> Option<Self> {
        fields.as_text(name, value)
    }

    fn describe(about: About) -> RefOr<Schema> {
        about.value_of(Type::String).into()
    }
}

/// A string of `MIN` to `MAX` characters.
#[derive(Clone, Debug)]
pub struct Text<const MIN: usize, const MAX: usize>(pub String);

impl<const MIN: usize, const MAX: usize> FieldValue for Text<MIN, MAX> {
    fn parse(fields: &mut Fields, name: &str, value: Value) -> Option<Self> {
        let text = fields.as_text(name, value);
        fields.within(name, text, MIN, MAX).map(Self)
    }

    fn describe(about: About) -> RefOr<Schema> {
        about.value_of(Type::String).min_length((MIN > 0).then_some(MIN)).max_length(Some(MAX)).into()
    }
}

/// A string of 1 to `MAX` characters on one line; see [`label::check`](crate::http::label::check).
#[derive(Clone, Debug)]
pub struct Label<const MAX: usize>(pub String);

impl<const MAX: usize> FieldValue for Label<MAX> {
    fn parse(fields: &mut Fields, name: &str, value: Value) -> Option<Self> {
        let text = fields.as_text(name, value);
        fields.label(name, text, MAX).map(Self)
    }

    fn describe(about: About) -> RefOr<Schema> {
        Text::<1, MAX>::describe(about)
    }
}

/// A label that the audit log will keep. It must not contain a credential.
#[derive(Clone, Debug)]
pub struct AuditedLabel<const MAX: usize>(pub String);

impl<const MAX: usize> FieldValue for AuditedLabel<MAX> {
    fn parse(fields: &mut Fields, name: &str, value: Value) -> Option<Self> {
        let text = fields.as_text(name, value);
        fields.audited_label(name, text, MAX).map(Self)
    }

    fn describe(about: About) -> RefOr<Schema> {
        Text::<1, MAX>::describe(about)
    }
}
