//! Parses JSON (RFC 8259) and reports duplicate keys, because a proxy may have checked a different copy.

use std::cell::{Cell, RefCell};
use std::iter::successors;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess};
use serde_json::error::Category;
use serde_json::{Map, Value};

use super::json_value::{AnyValue, Nested};
use crate::refusal::{Code, Refusal};

/// The number of values (members and items) that are read, more than any endpoint accepts. The rest of the
/// text is ignored.
pub const VALUES_MAX: usize = 200;
/// The number of duplicate keys that are listed. Further ones are only counted.
const REPEATED_MAX: usize = 50;
/// The length of a pointer, in bytes, from which on no more steps are added.
const POINTER_MAX: usize = 200;

/// A parsed JSON text.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The value. Of duplicate keys it has the first. Null if the text has too many values.
    pub value: Value,
    /// Pointers (RFC 6901) to the duplicates of earlier keys, at most `REPEATED_MAX`.
    pub repeated: Vec<String>,
    /// The number of duplicates that are not listed.
    pub more_repeated: usize,
    /// True if the text has more than `VALUES_MAX` values.
    pub is_cut: bool,
}

/// Parses a JSON text.
///
/// # Errors
/// `malformed_json`, with the position and the reason.
pub fn parse(text: &[u8]) -> Result<Parsed, Refusal> {
    refuse_byte_order_mark(text)?;
    let text = std::str::from_utf8(text).map_err(|error| {
        malformed(&format!("The body is not UTF-8: see byte {}.", error.valid_up_to() + 1))
    })?;
    let reading = ReadState::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = AnyValue(Strict { reading: &reading, place: None }).deserialize(&mut reader);
    let value = match value {
        Err(_) if reading.is_cut.get() => Value::Null,
        value => value.and_then(|value| reader.end().map(|()| value)).map_err(|error| explain(&error))?,
    };
    let ReadState { repeated, more_repeated, is_cut, .. } = reading;
    Ok(Parsed {
        value,
        repeated: repeated.into_inner(),
        more_repeated: more_repeated.get(),
        is_cut: is_cut.get(),
    })
}

/// Refuses a byte order mark and UTF-16 (RFC 8259, section 8.1).
fn refuse_byte_order_mark(text: &[u8]) -> Result<(), Refusal> {
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(malformed("The body starts with a byte order mark (U+FEFF). Send it without one."));
    }
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return Err(malformed(
            "The body is UTF-16, as its byte order mark shows. Send UTF-8 without a byte order mark.",
        ));
    }
    Ok(())
}

/// Returns a name as a step of a JSON pointer (RFC 6901, section 3). Cuts it after 100 characters, so that
/// clients cannot fill responses and kept refusals with long names.
#[must_use]
pub fn step(name: &str) -> String {
    let mut step = String::new();
    push_step(&mut step, name);
    step
}

fn push_step(pointer: &mut String, name: &str) {
    const SHOWN: usize = 100;
    pointer.push('/');
    for (index, letter) in name.chars().enumerate() {
        match letter {
            _ if index == SHOWN => return pointer.push('…'),
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            letter => pointer.push(letter),
        }
    }
}

fn malformed(detail: &str) -> Refusal {
    Refusal::new(Code::MalformedJson, detail)
}

/// Rewords serde_json's errors. Three kinds differ only in serde_json's text, so this compares the text.
fn explain(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let found = match error.classify() {
        Category::Eof => "The JSON in the body is incomplete",
        _ if text.starts_with("recursion limit") => "The body has more than 127 levels of nesting",
        _ if text.starts_with("number out of range") => "A number in the body is too large",
        _ if text.contains("surrogate") || text.starts_with("unexpected end of hex escape") => {
            "An escape in the body is half of a surrogate pair"
        }
        _ => "The body is not valid JSON",
    };
    malformed(&format!("{found}: see line {}, column {}.", error.line(), error.column()))
}

/// The location of a value: a step within another location.
#[derive(Clone, Copy)]
struct JsonPlace<'a> {
    step: Step<'a>,
    within: Option<&'a JsonPlace<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

impl JsonPlace<'_> {
    fn pointer(&self) -> String {
        let mut steps: Vec<Step<'_>> =
            successors(Some(self), |place| place.within).map(|place| place.step).collect();
        let mut pointer = String::new();
        while let Some(step) = steps.pop() {
            if pointer.len() >= POINTER_MAX {
                pointer.push_str("/…");
                break;
            }
            match step {
                Step::Member(name) => push_step(&mut pointer, name),
                Step::Item(index) => pointer.push_str(&format!("/{index}")),
            }
        }
        pointer
    }
}

/// The state of parsing one text.
#[derive(Default)]
struct ReadState {
    read: Cell<usize>,
    repeated: RefCell<Vec<String>>,
    more_repeated: Cell<usize>,
    is_cut: Cell<bool>,
}

impl ReadState {
    /// Counts a value. Fails after `VALUES_MAX` values, which stops the parser.
    fn record_read<E: serde::de::Error>(&self) -> Result<(), E> {
        self.read.set(self.read.get() + 1);
        if self.read.get() > VALUES_MAX {
            self.is_cut.set(true);
            return Err(E::custom("too many values"));
        }
        Ok(())
    }

    fn record_repeated(&self, place: &JsonPlace<'_>) {
        let mut repeated = self.repeated.borrow_mut();
        if repeated.len() < REPEATED_MAX {
            repeated.push(place.pointer());
        } else {
            self.more_repeated.set(self.more_repeated.get() + 1);
        }
    }
}

struct Strict<'a> {
    reading: &'a ReadState,
    place: Option<&'a JsonPlace<'a>>,
}

impl Nested for Strict<'_> {
    fn read_list<'de, A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let place = JsonPlace { step: Step::Item(list.len()), within: self.place };
            let item = AnyValue(Strict { reading: self.reading, place: Some(&place) });
            match items.next_element_seed(item)? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
            self.reading.record_read()?;
        }
    }

    fn read_object<'de, A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.reading.record_read()?;
            let place = JsonPlace { step: Step::Member(&name), within: self.place };
            let value = AnyValue(Strict { reading: self.reading, place: Some(&place) });
            let value = members.next_value_seed(value)?;
            if object.contains_key(&name) {
                self.reading.record_repeated(&place);
            } else {
                object.insert(name, value);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn repeated(text: &str) -> Vec<String> {
        parse(text.as_bytes()).expect("JSON").repeated
    }

    #[test]
    fn duplicate_name_is_found_at_any_depth() {
        assert_eq!(repeated(r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}"#), [""; 0]);
        assert_eq!(repeated(r#"{"a":1,"b":2,"a":3,"a":4}"#), ["/a", "/a"]);
        assert_eq!(repeated(r#"{"a/b":[0,{"x~":1,"x~":2}]}"#), ["/a~1b/1/x~0"]);
        // The same key, once with an escape.
        assert_eq!(repeated(r#"{"a":1,"\u0061":2}"#), ["/a"]);
        let first = parse(br#"{"a":1,"a":2}"#).expect("JSON").value;
        assert_eq!(first, json!({"a": 1}));
    }

    #[test]
    fn long_name_is_cut_and_marked() {
        let whole = "é".repeat(100);
        assert_eq!(step(&whole), format!("/{whole}"));
        assert_eq!(step(&format!("{whole}a")), format!("/{whole}…"));
        // The name is cut before it is escaped, so that no escape is cut in half.
        assert_eq!(step(&"~".repeat(101)), format!("/{}…", "~0".repeat(100)));
    }

    #[test]
    fn unreadable_json_is_reported_with_place_and_reason() {
        for (text, said) in [
            (&b"{\"a\":\n nope}"[..], "The body is not valid JSON: see line 2, column"),
            (b"{\"a\":", "The JSON in the body is incomplete"),
            (b"", "The JSON in the body is incomplete"),
            (b"{} {}", "The body is not valid JSON: see line 1, column 4."),
            (b"{\"a\":\"\xff\"}", "The body is not UTF-8: see byte 7."),
            (b"\"\\ud800\"", "half of a surrogate pair"),
            (b"\"\\ud800\\u0041\"", "half of a surrogate pair"),
            (b"\"\\udc00\"", "half of a surrogate pair"),
            (b"1e400", "too large"),
            (b"NaN", "The body is not valid JSON"),
            (b"{'a':1}", "The body is not valid JSON"),
            (b"{\"a\":1,}", "The body is not valid JSON"),
            (b"\xef\xbb\xbf{}", "a byte order mark (U+FEFF)"),
            (b"\xff\xfe{\0}\0", "The body is UTF-16"),
            (b"\xfe\xff\0{\0}", "The body is UTF-16"),
        ] {
            let refusal = parse(text).expect_err("no JSON");
            assert_eq!(refusal.code(), Code::MalformedJson);
            assert!(refusal.detail().contains(said), "{}", refusal.detail());
        }
    }

    /// Returns nested objects with long names that double in size when escaped. The innermost object repeats
    /// one key.
    fn deep_repetition(levels: usize, members: usize) -> String {
        let head = format!("{{\"{}\":", "~".repeat(100)).repeat(levels);
        let repeated = vec!["\"a\":1"; members].join(",");
        format!("{head}{{{repeated}}}{}", "}".repeat(levels))
    }

    #[test]
    fn duplicate_members_are_listed_up_to_a_limit_and_counted() {
        let parsed = parse(deep_repetition(120, 8_500).as_bytes()).expect("JSON");
        assert_eq!(parsed.repeated.len(), REPEATED_MAX);
        assert!(
            parsed.repeated.iter().all(|pointer| pointer.len() < 2 * POINTER_MAX + 20),
            "{:?}",
            parsed.repeated
        );
        // 120 members lead to the innermost object. Its first key is no duplicate, and the last value read
        // exceeds the limit.
        let read = VALUES_MAX - 120;
        assert_eq!((parsed.more_repeated, parsed.is_cut), (read - 1 - REPEATED_MAX, true));
    }

    #[test]
    fn text_beyond_the_value_limit_is_not_read() {
        for (text, is_cut) in [
            (format!("[{}]", vec!["1"; VALUES_MAX].join(",")), false),
            (format!("[{}]", vec!["1"; VALUES_MAX + 1].join(",")), true),
            (format!("[{}]", vec!["[1,2]"; VALUES_MAX / 3].join(",")), false),
            (format!("[{}]", vec!["[1,2]"; VALUES_MAX / 3 + 1].join(",")), true),
            (format!("[{}, nonsense", vec!["1"; VALUES_MAX + 1].join(",")), true),
        ] {
            let parsed = parse(text.as_bytes()).expect("JSON as far as it is read");
            assert_eq!((parsed.is_cut, parsed.value.is_null()), (is_cut, is_cut));
        }
        let members: Vec<String> = (0..VALUES_MAX + 5).map(|number| format!("\"{number}\":[]")).collect();
        let object =
            |count: usize| parse(format!("{{{}}}", members[..count].join(",")).as_bytes()).expect("JSON");
        assert_eq!(object(VALUES_MAX).value.as_object().map(Map::len), Some(VALUES_MAX));
        assert!(object(VALUES_MAX + 1).is_cut);
    }

    #[test]
    fn nesting_deeper_than_127_levels_is_refused() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(127).as_bytes()).is_ok());
        for depth in [128, 30_000] {
            let refusal = parse(nested(depth).as_bytes()).expect_err("too deep");
            assert!(refusal.detail().contains("more than 127 levels"), "{}", refusal.detail());
        }
    }
}
