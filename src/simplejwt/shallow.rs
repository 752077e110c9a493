//! Parses JSON without the content of lists and nested objects. The routes accept only strings, and need only
//! the kind of other values.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess};
use serde_json::{Map, Value};

use crate::http::json_value::{AnyValue, Nested};

/// The members that the routes read. Others are skipped.
const TAKEN: [&str; 4] = ["username", "password", "refresh", "token"];

/// A value. If it is an object, it has the members that the routes read; the last of several with the same
/// name counts.
pub(super) struct Shallow(pub(super) Value);

impl<'de> Deserialize<'de> for Shallow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AnyValue(Level { is_outer: true }).deserialize(deserializer).map(Self)
    }
}

struct Level {
    is_outer: bool,
}

impl Nested for Level {
    fn read_list<'de, A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(Vec::new()))
    }

    fn read_object<'de, A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut taken = Map::new();
        while self.is_outer
            && let Some(name) = members.next_key::<String>()?
        {
            if TAKEN.contains(&name.as_str()) {
                let value = members.next_value_seed(AnyValue(Self { is_outer: false }))?;
                taken.insert(name, value);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(taken))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Option<Value> {
        serde_json::from_str(text).map(|Shallow(value)| value).ok()
    }

    #[test]
    fn expected_members_are_read_and_nested_ones_skipped() {
        let text =
            r#"{"token":"a","x":{"token":"b"},"username":[1,[2]],"password":{"y":1},"token":"\u0063"}"#;
        assert_eq!(read(text), Some(json!({"token": "c", "username": [], "password": {}})));
        for (text, value) in [("7", json!(7)), ("-7", json!(-7)), ("1.5", json!(1.5)), ("null", json!(null))]
        {
            assert_eq!(read(text), Some(value));
        }
        for (text, value) in
            [("true", json!(true)), ("[{}]", json!([])), ("\"x\"", json!("x")), ("{}", json!({}))]
        {
            assert_eq!(read(text), Some(value));
        }
        for text in ["", "{\"token\":}", "[1,]", "{} {}", "{\"x\":[}"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
