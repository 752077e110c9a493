//! The kinds of values that settings take, and how each is parsed, shown and described.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use tracing_subscriber::filter::LevelFilter;
use url::Url;

use super::addresses::{self, PublicUrl, WebOrigin};
use super::database_url::DatabaseUrl;
use super::duration;
use super::secret::{MASK, Secret, SecretKeyTexts, check_typed, is_unseen};
use super::site::{self, SupportContact};
use crate::colour::Colour;

/// The number of characters of a wrong value that a message repeats.
const SHOWN: usize = 100;

/// Quotes a wrong value on one line, shortened to `SHOWN` characters.
pub(super) fn quote(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).collect();
    let ellipsis = if cut.len() < text.len() { "…" } else { "" };
    format!("\"{}{ellipsis}\"", cut.escape_debug())
}

type Read<T> = Box<dyn Fn(&str) -> Result<T, String>>;
type Show<T> = Box<dyn Fn(&T) -> Option<String>>;

pub(super) struct ValueKind<T> {
    /// A description of the allowed values.
    pub allowed: String,
    /// True if a wrong value must not be repeated in messages.
    pub secret: bool,
    /// Parses the text. An error gives the reason.
    pub read: Read<T>,
    /// Formats the value, with passwords masked.
    pub show: Show<T>,
    /// Creates the value of a setting that is not given, if the kind allows that.
    pub absent: Option<fn() -> T>,
}

impl<T: 'static> ValueKind<T> {
    fn new(
        allowed: impl Into<String>,
        read: impl Fn(&str) -> Result<T, String> + 'static,
        show: impl Fn(&T) -> String + 'static,
    ) -> Self {
        let read = move |text: &str| if text.is_empty() { Err("it is empty".to_owned()) } else { read(text) };
        let show = move |value: &T| Some(show(value));
        Self {
            allowed: allowed.into(),
            secret: false,
            read: Box::new(read),
            show: Box::new(show),
            absent: None,
        }
    }

    fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// Makes the value optional.
    pub(super) fn optional(self) -> ValueKind<Option<T>> {
        let Self { allowed, secret, read, show, .. } = self;
        ValueKind {
            allowed,
            secret,
            read: Box::new(move |text| read(text).map(Some)),
            show: Box::new(move |value| value.as_ref().and_then(&show)),
            absent: Some(|| None),
        }
    }

    /// Returns the kind of a comma-separated list without duplicates. The list may be empty.
    fn list(self, allowed: impl Into<String>) -> ValueKind<Vec<T>>
    where
        T: PartialEq,
    {
        let Self { secret, read, show, .. } = self;
        let read = move |text: &str| {
            let mut values = Vec::new();
            let parts = text.split(',').map(str::trim).filter(|_| !text.trim().is_empty());
            for part in parts {
                let value = read(part).map_err(|reason| format!("{}: {reason}", quote(part)))?;
                if values.contains(&value) {
                    return Err(format!("{} is listed twice", quote(part)));
                }
                values.push(value);
            }
            Ok(values)
        };
        let show = move |values: &Vec<T>| {
            let shown: Vec<String> = values.iter().filter_map(&show).collect();
            (!shown.is_empty()).then(|| shown.join(","))
        };
        let allowed = allowed.into();
        ValueKind { allowed, secret, read: Box::new(read), show: Box::new(show), absent: Some(Vec::new) }
    }
}

/// The form of a duration, in words. Its bounds follow.
pub(super) const DURATION: &str = "a duration such as 90s, 5m, 2h or 30d, from ";
/// The form of a number, in words. Its bounds follow.
pub(super) const NUMBER: &str = "a whole number from ";

/// Returns the kind of durations within these bounds.
pub(super) fn duration(bounds: RangeInclusive<Duration>) -> ValueKind<Duration> {
    let [low, high] = [bounds.start(), bounds.end()].map(|bound| duration::write(*bound));
    let read = move |text: &str| match duration::read(text)? {
        value if value < *bounds.start() => Err("it is too short".to_owned()),
        value if value > *bounds.end() => Err("it is too long".to_owned()),
        value => Ok(value),
    };
    let allowed = format!("{DURATION}{low} to {high}");
    ValueKind::new(allowed, read, |value| duration::write(*value))
}

/// Returns the kind of whole numbers within these bounds.
pub(super) fn number(bounds: RangeInclusive<u32>) -> ValueKind<u32> {
    let allowed = format!("{NUMBER}{} to {}", bounds.start(), bounds.end());
    let read = move |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse::<u32>().ok().filter(|_| digits);
        match value {
            Some(value) if bounds.contains(&value) => Ok(value),
            Some(value) if value < *bounds.start() => Err("it is too small".to_owned()),
            Some(_) => Err("it is too large".to_owned()),
            None if digits => Err("it is too large".to_owned()),
            None => Err("it is not a whole number".to_owned()),
        }
    };
    ValueKind::new(allowed, read, u32::to_string)
}

pub(super) fn path() -> ValueKind<PathBuf> {
    let read = |text: &str| {
        if text.contains(char::is_control) {
            Err("it contains a control character".to_owned())
        } else {
            Ok(PathBuf::from(text))
        }
    };
    ValueKind::new("a path", read, |path| path.display().to_string())
}

/// Returns the kind of addresses and ports to listen on.
pub(super) fn socket_address() -> ValueKind<SocketAddr> {
    let read = |text: &str| text.parse().map_err(|_| "it is not an IP address with a port".to_owned());
    let allowed = "an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080; port 0 chooses a free one";
    ValueKind::new(allowed, read, SocketAddr::to_string)
}

pub(super) fn public_url() -> ValueKind<PublicUrl> {
    let allowed = "http:// or https://, a host and optionally a port, such as https://id.example.org";
    ValueKind::new(allowed, PublicUrl::read, PublicUrl::to_string)
}

pub(super) fn origins() -> ValueKind<Vec<WebOrigin>> {
    let allowed =
        "a comma-separated list of exact origins, such as https://app.example.org or http://localhost:3000";
    ValueKind::new("", WebOrigin::read, |origin| origin.as_str().to_owned()).list(allowed)
}

pub(super) fn networks() -> ValueKind<Vec<IpNet>> {
    let allowed = "a comma-separated list of IP addresses and networks, such as 10.0.0.0/8,192.0.2.7";
    ValueKind::new("", addresses::network, IpNet::to_string).list(allowed)
}

pub(super) fn database_url() -> ValueKind<DatabaseUrl> {
    let allowed = "a connection URL of libpq, such as postgres://user:password@host:5432/database";
    ValueKind::new(allowed, DatabaseUrl::read, DatabaseUrl::to_string).secret()
}

pub(super) fn secret_keys() -> ValueKind<SecretKeyTexts> {
    let allowed = "a comma-separated list of keys, each of 32 to 1024 visible ASCII characters";
    ValueKind::new(allowed, SecretKeyTexts::from_list, |_| MASK.to_owned()).secret()
}

pub(super) fn password() -> ValueKind<Secret> {
    let read = |text: &str| check_typed(text).map(|()| Secret::new(text.to_owned()));
    let allowed = "a password of at least DOORWARD_PASSWORD_MIN_LENGTH characters";
    ValueKind::new(allowed, read, |_| MASK.to_owned()).secret()
}

/// Returns the kind of usernames. Code that creates users checks the other rules for names.
pub(super) fn username() -> ValueKind<String> {
    let read = |text: &str| {
        if text.chars().any(char::is_control) || text.trim() != text {
            Err("it contains a control character, or starts or ends with a space".to_owned())
        } else {
            Ok(text.to_owned())
        }
    };
    ValueKind::new("a username", read, String::clone)
}

/// Returns the kind of access tokens' audiences, each of which is a StringOrURI (RFC 7519, section 2).
pub(super) fn audiences() -> ValueKind<Vec<String>> {
    let read = |text: &str| {
        if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
            return Err("it contains a space or a control character".to_owned());
        }
        if let Some(letter) = text.chars().find(|letter| is_unseen(*letter)) {
            return Err(format!("it contains U+{:04X}, which is invisible", u32::from(letter)));
        }
        if text.contains(':') && Url::parse(text).is_err() {
            return Err("it contains a colon but is not a URI".to_owned());
        }
        Ok(text.to_owned())
    };
    let allowed = "a comma-separated list of names or URIs, such as https://api.example.org";
    ValueKind::new("", read, String::clone).list(allowed)
}

/// Returns the kind of names that pages show to people.
pub(super) fn site_name() -> ValueKind<String> {
    ValueKind::new("1 to 60 visible characters", site::read_name, String::clone)
}

pub(super) fn site_colour() -> ValueKind<Colour> {
    let allowed = "a dark colour such as #0a55b5, on which white text has a contrast of at least 4.5:1";
    ValueKind::new(allowed, site::read_colour, Colour::to_string)
}

pub(super) fn support_contact() -> ValueKind<SupportContact> {
    let allowed = "an e-mail address, or a URL that begins with https://, http:// or mailto:";
    ValueKind::new(allowed, SupportContact::read, SupportContact::to_string)
}

/// A log filter, which is a level with optional levels for parts of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// Returns the directives for `tracing_subscriber`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses the directives. This is stricter than `tracing_subscriber`, which takes a misspelt level for
    /// the name of a part.
    fn read(text: &str) -> Result<Self, String> {
        for directive in text.split(',') {
            let (target, level) = directive.split_once('=').unwrap_or(("doorward", directive));
            let named = target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte));
            if target.is_empty() || !named {
                return Err(format!("{} is not a part of the program", quote(target)));
            }
            let word = level.bytes().all(|byte| byte.is_ascii_alphabetic()) && !level.is_empty();
            if !word || level.parse::<LevelFilter>().is_err() {
                return Err(format!("{} is not a level", quote(level)));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

pub(super) fn log_filter() -> ValueKind<LogFilter> {
    let allowed =
        "off, error, warn, info, debug or trace, also for parts of the program: info,doorward::guard=debug";
    ValueKind::new(allowed, LogFilter::read, |filter| filter.0.clone())
}

/// Returns the [`ValueKind`] that accepts only the words in `table`.
fn words<T: Copy + PartialEq + 'static, const N: usize>(table: [(&'static str, T); N]) -> ValueKind<T> {
    let allowed = table.map(|(word, _)| word).join(", ");
    let read = move |text: &str| {
        let found = table.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| "it is none of these".to_owned())
    };
    let show = move |value: &T| {
        let found = table.iter().find(|(_, other)| other == value);
        found.map_or_else(String::new, |(word, _)| (*word).to_owned())
    };
    ValueKind::new(format!("one of {allowed}"), read, show)
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Lines for people.
    Text,
    /// A JSON object per line.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeaderSetting {
    /// Both headers are read.
    Auto,
    /// Only `X-Forwarded-For` is read.
    XForwardedFor,
    /// Only `Forwarded` (RFC 7239) is read.
    Forwarded,
}

pub(super) fn proxy_header() -> ValueKind<ProxyHeaderSetting> {
    use ProxyHeaderSetting::{Auto, Forwarded, XForwardedFor};
    words([("auto", Auto), ("x-forwarded-for", XForwardedFor), ("forwarded", Forwarded)])
}

/// The registration mode, which says who may create an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Only administrators.
    Closed,
    /// Anyone, for themselves.
    Open,
}

pub(super) fn registration() -> ValueKind<Registration> {
    words([("closed", Registration::Closed), ("open", Registration::Open)])
}

pub(super) fn log_format() -> ValueKind<LogFormat> {
    words([("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)])
}

/// The mode of the routes for djangorestframework-simplejwt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimplejwtRoutes {
    /// The routes do not exist.
    Off,
    /// A refresh returns only an access token, and the refresh token stays valid.
    On,
    /// A refresh rotates the refresh token and returns both tokens.
    Rotate,
}

pub(super) fn simplejwt_routes() -> ValueKind<SimplejwtRoutes> {
    use SimplejwtRoutes::{Off, On, Rotate};
    words([("off", Off), ("on", On), ("rotate", Rotate)])
}

/// The algorithm of new signing keys (RFC 7518, section 3.1; RFC 8037, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

pub(super) fn signing_algorithm() -> ValueKind<SigningAlgorithm> {
    use SigningAlgorithm::{EdDsa, Es256, Rs256};
    words([("ES256", Es256), ("EdDSA", EdDsa), ("RS256", Rs256)])
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::EnvFilter;

    use super::*;

    fn shown<T>(kind: &ValueKind<T>, text: &str) -> Result<Option<String>, String> {
        (kind.read)(text).map(|value| (kind.show)(&value))
    }

    #[test]
    fn empty_text_is_an_empty_list_and_otherwise_invalid() {
        assert_eq!(shown(&networks(), ""), Ok(None));
        assert_eq!(shown(&path(), ""), Err("it is empty".to_owned()));
        assert_eq!(shown(&database_url().optional(), ""), Err("it is empty".to_owned()));
        assert_eq!(shown(&origins(), "https://a.example,"), Err("\"\": it is empty".to_owned()));
    }

    #[test]
    fn list_keeps_its_order_and_refuses_duplicates() {
        let both = shown(&origins(), "https://b.example, https://a.example:443").unwrap();
        assert_eq!(both.as_deref(), Some("https://b.example,https://a.example"));
        let twice = shown(&networks(), "192.0.2.1,192.0.2.1/32").unwrap_err();
        assert_eq!(twice, "\"192.0.2.1/32\" is listed twice");
    }

    #[test]
    fn numbers_and_durations_are_bounded() {
        let bounded = number(10..=15);
        assert!(shown(&bounded, "10").is_ok() && shown(&bounded, "15").is_ok());
        assert_eq!(shown(&bounded, "9"), Err("it is too small".to_owned()));
        assert_eq!(shown(&bounded, "16"), Err("it is too large".to_owned()));
        assert_eq!(shown(&bounded, "99999999999"), Err("it is too large".to_owned()));
        assert_eq!(shown(&bounded, "+12"), Err("it is not a whole number".to_owned()));
        assert_eq!(shown(&bounded, "twelve"), Err("it is not a whole number".to_owned()));
        let seconds = duration(Duration::from_secs(1)..=Duration::from_secs(60));
        assert_eq!(shown(&seconds, "60s"), Ok(Some("1m".to_owned())));
        assert_eq!(shown(&seconds, "0s"), Err("it is too short".to_owned()));
        assert_eq!(shown(&seconds, "61s"), Err("it is too long".to_owned()));
    }

    #[test]
    fn accepted_log_filters_are_valid_for_the_subscriber() {
        for text in ["info", "off", "WARN", "info,doorward=debug,actix_web::middleware=off", "tower-x=error"]
        {
            let filter = LogFilter::read(text).unwrap();
            assert!(EnvFilter::try_new(filter.as_str()).is_ok(), "{text}");
        }
        for text in
            ["infoo", "info,", "doorward", "doorward=verbose", "=info", "a b=info", "5", "x=", "info,[s]=off"]
        {
            assert!(LogFilter::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_matched_exactly() {
        assert_eq!((signing_algorithm().read)("EdDSA"), Ok(SigningAlgorithm::EdDsa));
        assert_eq!((signing_algorithm().read)("HS256"), Err("it is none of these".to_owned()));
        assert_eq!(shown(&log_format(), "json"), Ok(Some("json".to_owned())));
        assert_eq!(log_format().allowed, "one of auto, text, json");
    }

    #[test]
    fn names_with_control_characters_are_refused() {
        assert!((username().read)("ad\u{1b}min").is_err());
        assert!((username().read)(" admin").is_err());
        assert!((password().read)("a\0b").is_err());
        assert!((path().read)("a\0b").is_err());
        assert_eq!(shown(&audiences(), "api,https://x.example"), Ok(Some("api,https://x.example".into())));
        assert!(shown(&audiences(), "http://").is_err());
        assert!(shown(&audiences(), "a b").is_err());
    }

    #[test]
    fn audience_with_an_invisible_character_is_refused_by_number() {
        for (letter, number) in [('\u{200b}', "U+200B"), ('\u{feff}', "U+FEFF"), ('\u{2800}', "U+2800")] {
            let said = shown(&audiences(), &format!("https://a.example{letter}")).expect_err("refused");
            assert!(said.contains(number), "{said}");
        }
        assert!(shown(&audiences(), "https://ä.example").is_ok());
    }

    #[test]
    fn secrets_are_shown_as_stars() {
        assert_eq!(shown(&password().optional(), "hunter2"), Ok(Some("***".to_owned())));
        assert_eq!(shown(&secret_keys(), &"k".repeat(32)), Ok(Some("***".to_owned())));
        assert!(password().secret && secret_keys().optional().secret && database_url().secret);
    }
}
