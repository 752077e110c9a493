//! Parses a curl command line as far as its request and credential are concerned.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A parsed command line.
#[derive(Default)]
pub struct Curl {
    /// The header lines, including those that options add.
    pub headers: Vec<String>,
    /// The body.
    pub data: Option<String>,
    /// The URL with its scheme, or a path.
    pub address: Option<String>,
    /// The method given with `-X`.
    method: Option<String>,
    /// The method that other options imply.
    implied_method: Option<&'static str>,
}

/// The options of curl that take a value: all letters, and those names that are in common use.
const VALUED_LETTERS: &str = "AbcCdDeEFHKmoPQrtTuUwxXyYz";
const VALUED_NAMES: &[&str] = &[
    "aws-sigv4",
    "cacert",
    "capath",
    "cert",
    "cert-type",
    "ciphers",
    "config",
    "connect-timeout",
    "connect-to",
    "cookie",
    "cookie-jar",
    "data",
    "data-ascii",
    "data-binary",
    "data-raw",
    "data-urlencode",
    "doh-url",
    "dump-header",
    "form",
    "form-string",
    "header",
    "interface",
    "json",
    "key",
    "key-type",
    "limit-rate",
    "max-redirs",
    "max-time",
    "netrc-file",
    "noproxy",
    "oauth2-bearer",
    "output",
    "output-dir",
    "pass",
    "pinnedpubkey",
    "proxy",
    "proxy-header",
    "proxy-user",
    "range",
    "referer",
    "request",
    "resolve",
    "retry",
    "retry-delay",
    "retry-max-time",
    "socks5",
    "socks5-hostname",
    "stderr",
    "tls-max",
    "trace",
    "trace-ascii",
    "unix-socket",
    "upload-file",
    "url-query",
    "user",
    "user-agent",
    "write-out",
];

impl Curl {
    /// Parses the words after `curl`. Returns `None` if a quotation mark is unmatched.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut words = shlex::split(text)?.into_iter().skip(1);
        let mut curl = Self::default();
        while let Some(word) = words.next() {
            if let Some(name) = word.strip_prefix("--") {
                // `--url` needs no value here, because the URL after it is recognized by itself.
                let value = if VALUED_NAMES.contains(&name) { words.next() } else { None };
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
            } else {
                let is_whole = word.contains("://") || word.starts_with('/');
                curl.address.get_or_insert(if is_whole { word } else { format!("http://{word}") });
            }
        }
        Some(curl)
    }

    /// Returns the method of the request.
    #[must_use]
    pub fn method(&self) -> &str {
        let by_data = if self.data.is_some() { "POST" } else { "GET" };
        self.method.as_deref().or(self.implied_method).unwrap_or(by_data)
    }

    fn take(&mut self, option: &str, value: String) {
        match option {
            "header" => self.headers.push(value),
            "user" => self.headers.push(format!("Authorization: Basic {}", STANDARD.encode(value))),
            "oauth2-bearer" => self.headers.push(format!("Authorization: Bearer {value}")),
            "request" => self.method = Some(value),
            "data" | "data-raw" | "data-binary" | "data-ascii" | "data-urlencode" | "json" => {
                self.data = Some(value);
            }
            "head" => self.implied_method = Some("HEAD"),
            "get" => self.implied_method = Some("GET"),
            "form" | "form-string" => self.implied_method = Some("POST"),
            "upload-file" => self.implied_method = Some("PUT"),
            _ => {}
        }
    }
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
