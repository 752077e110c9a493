//! The fields of a `multipart/form-data` body (RFC 7578), which is small and whole in memory. A browser's `FormData` is
//! sent like this.

use serde_json::{Map, Value};

use crate::problem::{Code, Problem};

/// The fields by their names; of several of one name the last counts. A file is no text.
///
/// # Errors
/// `malformed_json`: no boundary is named.
pub fn read(content_type: &str, body: &[u8]) -> Result<Map<String, Value>, Problem> {
    let boundary = parameter(content_type, "boundary").filter(|boundary| is_boundary(boundary));
    let Some(boundary) = boundary else {
        let detail = "Multipart form parse error - the Content-Type names no boundary";
        return Err(Problem::new(Code::MalformedJson, detail));
    };
    // The first delimiter has no line before it.
    let body = [b"\r\n", body].concat();
    let delimiter = format!("\r\n--{boundary}");
    let parts = split(&body, delimiter.as_bytes());
    Ok(parts.skip(1).take_while(|part| !part.starts_with(b"--")).filter_map(field).collect())
}

/// RFC 2046, section 5.1.1: 1 to 70 characters.
fn is_boundary(text: &str) -> bool {
    (1..=70).contains(&text.len()) && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// A part after its delimiter: the rest of that line, headers, an empty line, the value.
fn field(part: &[u8]) -> Option<(String, Value)> {
    let mut halves = split(part, b"\r\n\r\n");
    let head = String::from_utf8_lossy(halves.next()?).into_owned();
    let value = part.get(head_len(part)?..)?;
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let name = parameter(disposition, "name")?;
    let value = match parameter(disposition, "filename") {
        Some(_) => Value::Object(Map::new()),
        None => Value::String(String::from_utf8_lossy(value).into_owned()),
    };
    Some((name, value))
}

fn head_len(part: &[u8]) -> Option<usize> {
    part.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// A parameter of a header's value, with or without quotes.
fn parameter(header: &str, name: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        key.trim().eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

fn split<'a>(mut rest: &'a [u8], by: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let Some(at) = rest.windows(by.len()).position(|window| window == by) else {
            done = true;
            return Some(rest);
        };
        let part = &rest[..at];
        rest = &rest[at + by.len()..];
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"xyz\"";

    fn fields(body: &str) -> Value {
        Value::Object(read(TYPE, body.replace('\n', "\r\n").as_bytes()).expect("a boundary"))
    }

    #[test]
    fn fields_are_read_whatever_they_hold() {
        let body = "--xyz\nContent-Disposition: form-data; name=\"username\"\n\nal\n--xyz\n\
                    content-disposition: form-data; name=password\nContent-Type: text/plain\n\na\n\n--b\n--xyz--\nepilogue";
        assert_eq!(fields(body), json!({"username": "al", "password": "a\r\n\r\n--b"}));
    }

    #[test]
    fn the_last_of_a_name_counts_and_a_file_is_no_text() {
        let part = |name: &str, value: &str| {
            format!("--xyz\nContent-Disposition: form-data; name=\"{name}\"\n\n{value}\n")
        };
        let file = part("b\"; filename=\"x", "y");
        assert_eq!(
            fields(&format!("{}{}{file}--xyz--", part("a", "1"), part("a", "2"))),
            json!({"a": "2", "b": {}})
        );
    }

    #[test]
    fn what_has_no_parts_has_no_fields_and_a_boundary_must_be_named() {
        assert_eq!(fields("nonsense"), json!({}));
        assert_eq!(fields("--xyz--"), json!({}));
        for header in
            ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=é"]
        {
            assert_eq!(
                read(header, b"x").map_err(|problem| problem.code()),
                Err(Code::MalformedJson),
                "{header}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_without_a_panic(body: Vec<u8>, text in "(--xyz|\r\n|a|:|;|=|name|\"){0,40}") {
            let _ = read(TYPE, &body);
            let _ = read(TYPE, text.as_bytes());
            let _ = read(&text, &body);
        }
    }
}
