//! Parses a curl command line as far as its request and credential are concerned.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A parsed command line.
#[derive(Default)]
pub(super) struct Curl {
    /// The header lines, including those that options add.
    pub headers: Vec<String>,
    /// The body.
    pub data: Option<String>,
    /// The URL with its scheme, or a path. It is the first word that is neither an option nor, as far as one
    /// can tell, the value of one.
    pub address: Option<String>,
    /// The method given with `-X`.
    method: Option<String>,
    /// The method that other options imply.
    implied_method: Option<&'static str>,
}

/// The short options of curl that take a value.
const VALUED_LETTERS: &str = "AbcCdDeEFHKmoPQrtTuUwxXyYz";

impl Curl {
    /// Parses the words after `curl`. Returns `None` if a quotation mark is unmatched.
    #[must_use]
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut words = shlex::split(text)?.into_iter().skip(1);
        let mut curl = Self::default();
        let (mut address, mut doubtful) = (None, None);
        let mut follows_option = false;
        while let Some(word) = words.next() {
            let may_be_value = std::mem::take(&mut follows_option);
            if let Some(name) = word.strip_prefix("--") {
                let value = if takes_value(name) { words.next() } else { None };
                // Whether another option takes a value is unknown. If so, it is the next word.
                follows_option = value.is_none();
                curl.take(name, value.unwrap_or_default());
            } else if let Some(letters) = word.strip_prefix('-') {
                let at = letters.find(|letter| VALUED_LETTERS.contains(letter)).unwrap_or(letters.len());
                let (bare, valued) = letters.split_at(at);
                bare.chars().for_each(|letter| curl.take(name_of(letter), String::new()));
                // The value is attached (`-XPUT`) or the next word.
                let mut attached = valued.chars();
                if let Some(letter) = attached.next() {
                    let attached = Some(attached.collect()).filter(|value: &String| !value.is_empty());
                    curl.take(name_of(letter), attached.or_else(|| words.next()).unwrap_or_default());
                }
            } else if may_be_value {
                doubtful.get_or_insert(word);
            } else {
                address.get_or_insert(word);
            }
        }
        curl.address = address.or(doubtful).map(|word| {
            if word.contains("://") || word.starts_with('/') { word } else { format!("http://{word}") }
        });
        Some(curl)
    }

    /// Returns the method of the request.
    #[must_use]
    pub(super) fn method(&self) -> &str {
        let by_data = if self.data.is_some() { "POST" } else { "GET" };
        self.method.as_deref().or(self.implied_method).unwrap_or(by_data)
    }

    fn take(&mut self, option: &str, value: String) {
        match option {
            "header" => self.headers.push(value),
            "user" => self.headers.push(format!("Authorization: Basic {}", STANDARD.encode(value))),
            "oauth2-bearer" => self.headers.push(format!("Authorization: Bearer {value}")),
            "request" => self.method = Some(value),
            "json" => self.data = Some(value),
            data if data.starts_with("data") => self.data = Some(value),
            "head" => self.implied_method = Some("HEAD"),
            "get" => self.implied_method = Some("GET"),
            "form" | "form-string" => self.implied_method = Some("POST"),
            "upload-file" => self.implied_method = Some("PUT"),
            _ => {}
        }
    }
}

/// Returns whether a relevant long option takes a value.
fn takes_value(name: &str) -> bool {
    let others = ["header", "user", "oauth2-bearer", "request", "json", "form", "form-string", "upload-file"];
    name.starts_with("data") || others.contains(&name)
}

/// Returns the name of a short option, if it is relevant here.
fn name_of(letter: char) -> &'static str {
    match letter {
        'H' => "header",
        'u' => "user",
        'X' => "request",
        'd' => "data",
        'I' => "head",
        'G' => "get",
        'F' => "form",
        'T' => "upload-file",
        _ => "",
    }
}
