//! Parses the fields of a `multipart/form-data` body (RFC 7578), which is how a browser sends `FormData`. The
//! body is small and in memory as a whole.

use memchr::memmem::{self, Finder};
use serde_json::{Map, Value};

use crate::refusal::{Code, Refusal};

/// The maximum number of parts in a body. A body with more is refused.
const PARTS_MAX: usize = 100;
/// The maximum length of the head of a part, in bytes. A body with a longer head is refused.
const HEAD_MAX: usize = 1_024;
/// The maximum number of lines in a head. Further lines are ignored.
const LINES_MAX: usize = 16;
/// The maximum number of parameters in a line. Further parameters are ignored.
const PARAMETERS_MAX: usize = 16;

/// Returns the fields by name. The last of several with the same name counts. A file becomes an empty object,
/// which is refused where a string is needed.
///
/// # Errors
/// `malformed_json` if no boundary is named, there are too many parts, or a head is too long.
pub fn read(content_type: &str, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let boundary = parameter(content_type, "boundary").filter(|boundary| is_boundary(boundary));
    let Some(boundary) = boundary else {
        return Err(malformed("the Content-Type has no boundary".to_owned()));
    };
    // This puts a line break before the first delimiter too.
    let body = [b"\r\n", body].concat();
    let delimiter = Finder::new(&format!("\r\n--{boundary}")).into_owned();
    let mut fields = Map::new();
    let parts = split(&body, &delimiter).skip(1).take_while(|part| !part.starts_with(b"--"));
    for (index, part) in parts.enumerate() {
        if index == PARTS_MAX {
            return Err(malformed(format!("the body has more than {PARTS_MAX} parts")));
        }
        fields.extend(field(part)?);
    }
    Ok(fields)
}

fn malformed(found: String) -> Refusal {
    Refusal::new(Code::MalformedJson, format!("Multipart form parse error - {found}"))
}

/// Returns true for 1 to 70 characters that a boundary may have (RFC 2046, section 5.1.1).
fn is_boundary(text: &str) -> bool {
    (1..=70).contains(&text.len()) && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Parses a part: the rest of the delimiter's line, headers, an empty line and the value. Returns `None` if
/// it is not a field.
fn field(part: &[u8]) -> Result<Option<(String, Value)>, Refusal> {
    let Some(head_len) = memmem::find(part, b"\r\n\r\n") else { return Ok(None) };
    if head_len > HEAD_MAX {
        return Err(malformed(format!("the header of a part has more than {HEAD_MAX} bytes")));
    }
    let (head, value) = (String::from_utf8_lossy(&part[..head_len]), &part[head_len + 4..]);
    let disposition = head.lines().take(LINES_MAX).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let Some(disposition) = disposition else { return Ok(None) };
    let Some(name) = parameter(disposition, "name") else { return Ok(None) };
    let value = match parameter(disposition, "filename") {
        Some(_) => Value::Object(Map::new()),
        None => Value::String(String::from_utf8_lossy(value).into_owned()),
    };
    Ok(Some((name, value)))
}

/// Returns a parameter from the value of a header, with or without quotes.
fn parameter(header: &str, name: &str) -> Option<String> {
    let (mut is_quoted, mut previous) = (false, ' ');
    let parameters = header.split(move |letter: char| {
        is_quoted ^= letter == '"' && previous != '\\';
        previous = letter;
        letter == ';' && !is_quoted
    });
    parameters.skip(1).take(PARAMETERS_MAX).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        key.trim().eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

fn split<'a>(mut rest: &'a [u8], delimiter: &'a Finder<'_>) -> impl Iterator<Item = &'a [u8]> {
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let Some(at) = delimiter.find(rest) else {
            done = true;
            return Some(rest);
        };
        let part = &rest[..at];
        rest = &rest[at + delimiter.needle().len()..];
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
    fn fields_are_parsed_with_any_content() {
        let body = "--xyz\nContent-Disposition: form-data; name=\"username\"\n\nal\n--xyz\n\
                    content-disposition: form-data; name=password\nContent-Type: text/plain\n\na\n\n--b\n--xyz--\nepilogue";
        assert_eq!(fields(body), json!({"username": "al", "password": "a\r\n\r\n--b"}));
    }

    #[test]
    fn name_in_quotes_may_contain_a_semicolon() {
        let body = "--xyz\nContent-Disposition: form-data; name=\"a; filename=x\"\n\n1\n--xyz--";
        assert_eq!(fields(body), json!({"a; filename=x": "1"}));
    }

    #[test]
    fn last_duplicate_is_used_and_a_file_is_not_text() {
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
    fn body_without_parts_is_empty_and_a_boundary_is_required() {
        assert_eq!(fields("nonsense"), json!({}));
        assert_eq!(fields("--xyz--"), json!({}));
        for header in
            ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=é"]
        {
            assert_eq!(
                read(header, b"x").map_err(|refusal| refusal.code()),
                Err(Code::MalformedJson),
                "{header}"
            );
        }
    }

    #[test]
    fn parts_and_heads_beyond_their_limits_are_refused() {
        let part = "--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
        let said = |body: String| read(TYPE, body.as_bytes()).map_err(|refusal| refusal.detail().to_owned());
        assert!(said(format!("{}--xyz--", part.repeat(PARTS_MAX))).is_ok());
        let refused = said(format!("{}--xyz--", part.repeat(PARTS_MAX + 1))).expect_err("too many");
        assert!(refused.contains("more than 100 parts"), "{refused}");
        let long = part.replace("form-data", &";".repeat(HEAD_MAX));
        let refused = said(format!("{long}--xyz--")).expect_err("too long");
        assert!(refused.contains("more than 1024 bytes"), "{refused}");
    }

    proptest! {
        #[test]
        fn any_body_is_parsed_without_a_panic(body: Vec<u8>, text in "(--xyz|\r\n|a|:|;|=|name|\"){0,40}") {
            let _ = read(TYPE, &body);
            let _ = read(TYPE, text.as_bytes());
            let _ = read(&text, &body);
        }
    }
}
