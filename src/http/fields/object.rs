//! Declares request bodies. A struct names its members with their types; the types do the rest.

use serde_json::Value;
use utoipa::openapi::schema::ObjectBuilder;

use super::value::{About, Member};

/// Declares a struct that is read from a JSON object and describes itself in OpenAPI.
///
/// All members are read before the first error is returned, so that all errors are reported at once.
macro_rules! json_object {
    (
        $(#[doc = $about:literal])*
        $visibility:vis struct $name:ident {
            $(
                $(#[doc = $about_member:literal])*
                $(#[example = $example:literal])?
                $visibility_of_member:vis $member:ident: $type:ty
            ),* $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone)]
        $visibility struct $name {
            $($(#[doc = $about_member])* $visibility_of_member $member: $type,)*
        }

        impl $crate::http::fields::FromFields for $name {
            fn from_fields(fields: &mut $crate::http::fields::Fields) -> Option<Self> {
                $(let $member = fields.member(stringify!($member));)*
                Some(Self { $($member: $member?,)* })
            }
        }

        impl utoipa::ToSchema for $name {
            fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
                $(<$type as $crate::http::fields::Member>::components(schemas);)*
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                let object = $crate::http::fields::describe_object(&[$($about),*]);
                $(
                    let example = [$(serde_json::Value::from($example))?];
                    let object = $crate::http::fields::describe_member::<$type>(
                        object, stringify!($member), &[$($about_member),*], &example,
                    );
                )*
                object.into()
            }
        }
    };
}

pub(crate) use json_object;

/// Starts the description of an object with the lines of its comment.
pub fn describe_object(comment: &[&str]) -> ObjectBuilder {
    ObjectBuilder::new().description(Some(joined(comment)))
}

/// Adds a member with the lines of its comment, and its example, if it has one.
pub fn describe_member<T: Member>(
    object: ObjectBuilder,
    name: &str,
    comment: &[&str],
    example: &[Value],
) -> ObjectBuilder {
    let about = About { description: joined(comment), example: example.first().cloned(), ..About::default() };
    let object = object.property(name, T::schema(about));
    if T::IS_REQUIRED { object.required(name) } else { object }
}

fn joined(comment: &[&str]) -> String {
    comment.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n")
}
