//! Reads request bodies like Django REST framework: JSON or a form, and each field like a `CharField`.
//! Unknown fields are ignored, and all errors are reported at once.

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpMessage, HttpRequest};
use serde_json::{Map, Value};

use super::multipart;
use super::shallow::Shallow;
use crate::http::request::{Form, Input, read_body};
use crate::refusal::{Code, FieldError, Refusal};

/// The fields that have not been read yet, and the errors found so far.
pub(crate) struct Body {
    fields: Map<String, Value>,
    errors: Vec<FieldError>,
}

/// A type that can be read from the fields of a body.
pub(crate) trait FromBody: Sized {
    /// Reads the fields that the type has. Returns `None` if the value cannot be built; `body` then holds the
    /// errors.
    fn from_body(body: &mut Body) -> Option<Self>;
}

/// The body of a request.
pub(crate) struct SentBody<T>(pub T);

impl<T: FromBody + 'static> Input for SentBody<T> {
    async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, Refusal> {
        let text = read_body(request, payload).await?;
        let mut body = Body { fields: read_fields(request, &text)?, errors: Vec::new() };
        match T::from_body(&mut body) {
            Some(made) if body.errors.is_empty() => Ok(Self(made)),
            _ => Err(Refusal::validation(body.errors)),
        }
    }
}

impl Body {
    /// Reads a required string and trims white space from both ends.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.untrimmed_text(name).map(|text| text.trim_matches(is_space).to_owned())
    }

    /// Reads a required string as it was sent. The spaces in a password are part of it.
    pub(crate) fn untrimmed_text(&mut self, name: &str) -> Option<String> {
        let text = match self.fields.remove(name) {
            None => return self.refuse(name, "missing_field", "This field is required."),
            Some(Value::Null) => return self.refuse(name, "null", "This field may not be null."),
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
                return self.refuse(name, "wrong_type", "Not a valid string.");
            }
        };
        if text.chars().all(is_space) {
            return self.refuse(name, "blank", "This field may not be blank.");
        }
        if text.contains('\0') {
            return self.refuse(name, "invalid_character", "Null characters are not allowed.");
        }
        Some(text)
    }

    fn refuse(&mut self, name: &str, code: &'static str, detail: &str) -> Option<String> {
        self.errors.push(FieldError::new(format!("/{name}"), code, detail.to_owned()));
        None
    }
}

/// Returns true for a character that Python regards as white space.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

fn read_fields(request: &HttpRequest, text: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    let media_type = request.content_type().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" => read_json(text),
        "application/x-www-form-urlencoded" => read_form(text),
        "multipart/form-data" => multipart::read(content_type(request), text),
        _ => {
            let sent: String = content_type(request).chars().take(100).collect();
            let detail = format!("Unsupported media type \"{sent}\" in request.");
            Err(Refusal::new(Code::UnsupportedMediaType, detail))
        }
    }
}

fn content_type(request: &HttpRequest) -> &str {
    request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Reads a form. The last of several fields with the same name counts.
fn read_form(text: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let form = Form::parse(text);
    if let Some(surplus) = form.surplus() {
        return Err(Refusal::validation(vec![surplus]));
    }
    Ok(form.into_fields().into_iter().map(|(name, value)| (name, Value::String(value))).collect())
}

fn read_json(text: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let malformed = |found: &str| Refusal::new(Code::MalformedJson, format!("JSON parse error - {found}"));
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(malformed("it starts with a byte order mark: send it without one"));
    }
    let Shallow(value) = serde_json::from_slice(text).map_err(|error| {
        let found = if error.is_eof() { "it is incomplete" } else { "it is not valid JSON" };
        malformed(&format!("{found}: line {} column {}", error.line(), error.column()))
    })?;
    let found = match value {
        Value::Object(fields) => return Ok(fields),
        Value::Null => return Err(no_dictionary("No data provided".to_owned())),
        Value::Array(_) => "list",
        Value::String(_) => "str",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
    };
    Err(no_dictionary(format!("Invalid data. Expected a dictionary, but got {found}.")))
}

fn no_dictionary(detail: String) -> Refusal {
    Refusal::validation(vec![FieldError::new("", "wrong_type", detail)])
}
