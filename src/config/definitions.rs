//! The definition of every setting. Nothing else defines one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use ipnet::IpNet;

use super::addresses::{PublicUrl, WebOrigin};
use super::database_url::DatabaseUrl;
use super::kinds::{
    self, LogFilter, LogFormat, ProxyHeaderSetting, Registration, SigningAlgorithm, SimplejwtRoutes,
};
use super::pass::Pass;
use super::secret::{Secret, SecretKeyTexts};
use super::setting::DefaultValue::{Computed, Nothing, Text};
use super::setting::{DefaultsContext, Entry, Setting, Source};
use super::site::SupportContact;
use crate::colour::Colour;

const SECOND: Duration = Duration::from_secs(1);
/// The shortest idle lifetime. Last uses are written in batches every few seconds, so a shorter one would end
/// sessions that are in use.
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const TEN_YEARS: Duration = Duration::from_secs(3_650 * 86_400);

/// Defines each setting once: its field, flag, environment variable, key in `doorward.toml`, entry in the
/// list, and documentation. The comment above a field is its help text.
macro_rules! settings {
    ($( $(#[doc = $help:literal])+ $field:ident: $type:ty = $environment:literal, $default:expr, $kind:expr; )+) => {
        /// The settings in force.
        #[derive(Debug, Clone)]
        pub struct Settings {
            $( $(#[doc = $help])+ pub $field: $type, )+
            entries: Vec<Entry>,
            file: Option<PathBuf>,
        }

        /// The settings that could be parsed.
        pub(super) struct PartialSettings {
            $( pub(super) $field: Option<$type>, )+
        }

        /// The definitions of all settings, in the order of the documentation.
        pub static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| vec![ $( {
            let kind = $kind;
            Setting {
                key: stringify!($field),
                environment: $environment,
                flag: stringify!($field).replace('_', "-"),
                help: concat!($( $help ),+).trim().to_owned(),
                default: $default,
                allowed: kind.allowed,
                secret: kind.secret,
            }
        } ),+ ]);

        impl PartialSettings {
            /// Parses every setting, so that all errors are found.
            pub(super) fn read(pass: &mut Pass<'_>) -> Self {
                let mut definitions = SETTINGS.iter();
                Self { $( $field: definitions.next().and_then(|it| pass.take(it, &$kind)), )+ }
            }

            /// Returns the settings if each could be parsed.
            pub(super) fn complete(self, entries: Vec<Entry>, file: Option<PathBuf>) -> Option<Settings> {
                Some(Settings { $( $field: self.$field?, )+ entries, file })
            }
        }
    };
}

settings! {
    /// The PostgreSQL to use.
    /// If this build has no TLS (see `doorward --version`), it must be on this machine, or use
    /// `sslmode=disable`.
    database_url: Option<DatabaseUrl> = "DATABASE_URL",
        Nothing("a private PostgreSQL in the data folder"), kinds::database_url().optional();
    /// The folder of the private PostgreSQL and of the secret key file.
    data_dir: PathBuf = "DOORWARD_DATA_DIR",
        Computed("`./data`; as root `/var/lib/doorward`", DefaultsContext::data_dir), kinds::path();
    /// Encrypts stored signing keys and derives refresh tokens. It must be the same on all nodes.
    /// With several keys, the first encrypts and any can decrypt.
    secret_key: Option<SecretKeyTexts> = "DOORWARD_SECRET_KEY",
        Nothing("the key file"), kinds::secret_keys().optional();
    /// A file with the secret keys, one per line.
    secret_key_file: Option<PathBuf> = "DOORWARD_SECRET_KEY_FILE",
        Nothing("a file in the data folder, created for an empty database"), kinds::path().optional();
    /// The address on which the server listens.
    listen: SocketAddr = "DOORWARD_LISTEN", Text("127.0.0.1:8080"), kinds::socket_address();
    /// The URL at which people and clients reach the server: the issuer of tokens, and the base of links.
    /// With https, cookies are secure.
    public_url: PublicUrl = "DOORWARD_PUBLIC_URL",
        Computed("`http://<listen>`", DefaultsContext::public_url), kinds::public_url();
    /// The address on which the metrics are served.
    metrics_listen: SocketAddr = "DOORWARD_METRICS_LISTEN", Text("127.0.0.1:9464"), kinds::socket_address();
    /// The proxies whose `Forwarded` and `X-Forwarded-For` headers are trusted.
    trusted_proxies: Vec<IpNet> = "DOORWARD_TRUSTED_PROXIES", Nothing(""), kinds::networks();
    /// The header that these proxies write. `auto` reads both.
    /// With `auto`, requests whose two headers name different clients have no known address and share one
    /// limit.
    proxy_header: ProxyHeaderSetting = "DOORWARD_PROXY_HEADER", Text("auto"), kinds::proxy_header();
    /// The username of the first administrator, who is created when the server first starts on an empty
    /// database.
    admin_username: String = "DOORWARD_ADMIN_USERNAME", Text("admin"), kinds::username();
    /// The password of the first administrator.
    admin_password: Option<Secret> = "DOORWARD_ADMIN_PASSWORD",
        Nothing("a random one, printed once"), kinds::password().optional();
    /// The lifetime of an access token.
    access_token_ttl: Duration = "DOORWARD_ACCESS_TOKEN_TTL",
        Text("5m"), kinds::duration(SECOND..=TEN_YEARS);
    /// The lifetime of a session without a refresh.
    refresh_token_ttl: Duration = "DOORWARD_REFRESH_TOKEN_TTL",
        Text("30d"), kinds::duration(SECOND..=TEN_YEARS);
    /// The maximum lifetime of a session.
    session_ttl: Duration = "DOORWARD_SESSION_TTL", Text("90d"), kinds::duration(SECOND..=TEN_YEARS);
    /// The time for which a used refresh token is still accepted.
    /// Tokens and cookies from before a step-up are also accepted for this time after the new ones are first
    /// used.
    /// `0s` accepts neither.
    refresh_grace: Duration = "DOORWARD_REFRESH_GRACE",
        Text("10s"), kinds::duration(Duration::ZERO..=HOUR);
    /// The lifetime of an unused browser session.
    browser_session_idle_ttl: Duration = "DOORWARD_BROWSER_SESSION_IDLE_TTL",
        Text("12h"), kinds::duration(MINUTE..=TEN_YEARS);
    /// The lifetime of an unused browser session if the user chose to stay signed in.
    browser_session_kept_ttl: Duration = "DOORWARD_BROWSER_SESSION_KEPT_TTL",
        Text("30d"), kinds::duration(MINUTE..=TEN_YEARS);
    /// The maximum age of the sign-in for requests that grant power.
    step_up_max_age: Duration = "DOORWARD_STEP_UP_MAX_AGE",
        Text("15m"), kinds::duration(SECOND..=TEN_YEARS);
    /// The maximum number of sessions per user. Above it, the least recently used session ends.
    max_sessions: u32 = "DOORWARD_MAX_SESSIONS", Text("100"), kinds::number(1..=10_000);
    /// Additional audiences of access tokens.
    audiences: Vec<String> = "DOORWARD_AUDIENCES", Nothing(""), kinds::audiences();
    /// The algorithm of new signing keys.
    signing_algorithm: SigningAlgorithm = "DOORWARD_SIGNING_ALGORITHM",
        Text("ES256"), kinds::signing_algorithm();
    /// The minimum number of characters in a new password.
    password_min_length: u32 = "DOORWARD_PASSWORD_MIN_LENGTH", Text("12"), kinds::number(8..=64);
    /// `open` lets people create their own accounts.
    registration: Registration = "DOORWARD_REGISTRATION", Text("closed"), kinds::registration();
    /// `on` makes `/api/token/…` answer as djangorestframework-simplejwt does.
    /// With `rotate`, a refresh also replaces the refresh token.
    simplejwt_routes: SimplejwtRoutes = "DOORWARD_SIMPLEJWT_ROUTES", Text("off"), kinds::simplejwt_routes();
    /// Wrong passwords per hour for one name without a wait. Further ones cause waits of 2, 4, 8 … s.
    /// An address from which the account has signed in before has its own count.
    login_failures: u32 = "DOORWARD_LOGIN_FAILURES", Text("5"), kinds::number(1..=1_000_000);
    /// Wrong passwords per hour from one address without a wait, for all names together.
    /// IPv6 addresses are counted by their first 64 bits, by 56 bits with 1.5 times and by 48 bits with twice
    /// this limit.
    login_failures_per_address: u32 = "DOORWARD_LOGIN_FAILURES_PER_ADDRESS",
        Text("50"), kinds::number(1..=1_000_000);
    /// Wrong passwords per hour from one address without a wait, for accounts that have signed in from there
    /// before.
    /// The first one for a name counts fully, further ones count less.
    /// Above the limit, each of these names still has one free attempt per hour from there.
    login_failures_per_known_address: u32 = "DOORWARD_LOGIN_FAILURES_PER_KNOWN_ADDRESS",
        Text("100"), kinds::number(1..=1_000_000);
    /// Wrong passwords per hour without a wait, for all names and addresses together.
    login_failures_in_all: u32 = "DOORWARD_LOGIN_FAILURES_IN_ALL",
        Text("10000"), kinds::number(1..=1_000_000);
    /// The maximum wait after failed sign-ins or registrations.
    login_wait_max: Duration = "DOORWARD_LOGIN_WAIT_MAX", Text("15m"), kinds::duration(SECOND..=DAY);
    /// How long an address is remembered as a known sign-in location of an account.
    known_address_retention: Duration = "DOORWARD_KNOWN_ADDRESS_RETENTION",
        Text("90d"), kinds::duration(Duration::ZERO..=TEN_YEARS);
    /// Accounts that can be created per hour from one address without a wait.
    registrations_per_address: u32 = "DOORWARD_REGISTRATIONS_PER_ADDRESS",
        Text("10"), kinds::number(1..=1_000_000);
    /// Personal tokens that a user can create per hour, on each node.
    tokens_per_user: u32 = "DOORWARD_TOKENS_PER_USER", Text("60"), kinds::number(1..=1_000_000);
    /// The maximum lifetime of a personal token. Changing it does not affect existing tokens.
    token_ttl_max: Duration = "DOORWARD_TOKEN_TTL_MAX", Text("3650d"), kinds::duration(SECOND..=TEN_YEARS);
    /// Requests per minute from one address without a valid credential, on each node.
    /// They are unknown refresh tokens, one-time links, and explanations without a credential.
    unproven_per_address: u32 = "DOORWARD_UNPROVEN_PER_ADDRESS", Text("60"), kinds::number(1..=1_000_000);
    /// The web origins whose scripts may call the API.
    cors_origins: Vec<WebOrigin> = "DOORWARD_CORS_ORIGINS", Nothing(""), kinds::origins();
    /// How long refused requests are kept, so that they can be looked up by their ids. `0s` keeps none.
    refusal_retention: Duration = "DOORWARD_REFUSAL_RETENTION",
        Text("7d"), kinds::duration(Duration::ZERO..=TEN_YEARS);
    /// The maximum number of refused requests that are kept.
    /// At most a quarter of it are kept for ended or expired credentials, and a tenth for requests without a
    /// verified one.
    /// When the limit is reached, users share it.
    refusal_rows: u32 = "DOORWARD_REFUSAL_ROWS", Text("100000"), kinds::number(100..=10_000_000);
    /// How long audit events are kept.
    audit_retention: Duration = "DOORWARD_AUDIT_RETENTION",
        Text("400d"), kinds::duration(SECOND..=TEN_YEARS);
    /// The name of this service on its pages.
    site_name: String = "DOORWARD_SITE_NAME", Text("doorward"), kinds::site_name();
    /// The file of a logo for the pages: an SVG or PNG image of at most 64 KiB, the same on all nodes.
    site_logo: Option<PathBuf> = "DOORWARD_SITE_LOGO", Nothing("doorward's icon"), kinds::path().optional();
    /// The colour of buttons and of the line above the pages. Their text is white.
    site_colour: Option<Colour> = "DOORWARD_SITE_COLOUR",
        Nothing("doorward's blue"), kinds::site_colour().optional();
    /// The contact for help that sign-in and error pages show.
    site_support: Option<SupportContact> = "DOORWARD_SITE_SUPPORT",
        Nothing("pages name the administrator"), kinds::support_contact().optional();
    /// The log level.
    log: LogFilter = "DOORWARD_LOG", Text("info"), kinds::log_filter();
    /// The format of log lines. `auto` is text on a terminal, JSON otherwise.
    log_format: LogFormat = "DOORWARD_LOG_FORMAT", Text("auto"), kinds::log_format();
    /// The cost of password hashes. A hash with another cost is replaced at the next sign-in.
    bcrypt_cost: u32 = "DOORWARD_BCRYPT_COST", Text("12"), kinds::number(10..=15);
    /// The number of tokens and sessions of each kind that a node caches, so that their requests need no
    /// database query.
    remembered: u32 = "DOORWARD_REMEMBERED", Text("100000"), kinds::number(1_000..=10_000_000);
    /// The maximum number of connections to PostgreSQL.
    database_connections: u32 = "DOORWARD_DATABASE_CONNECTIONS",
        Computed("twice the cores, at least 8", DefaultsContext::database_connections), kinds::number(2..=1_000);
}

impl Settings {
    /// Returns every setting with its displayed value and its source. Passwords are masked.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the path of the settings file, if there was one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns the public URL. If it is not set, it follows the listener's actual address, since port 0
    /// stands for any port.
    #[must_use]
    pub fn public_url_for(&self, bound: SocketAddr) -> PublicUrl {
        let set = |entry: &Entry| entry.setting.key == "public_url" && entry.source != Source::Default;
        if self.entries.iter().any(set) { self.public_url.clone() } else { PublicUrl::of_listener(bound) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, resolve};

    #[test]
    fn setting_has_one_name_in_three_spellings() {
        for setting in SETTINGS.iter() {
            let prefix = if setting.key == "database_url" { "" } else { "DOORWARD_" };
            assert_eq!(setting.environment, format!("{prefix}{}", setting.key.to_uppercase()));
            assert_eq!(setting.flag, setting.key.replace('_', "-"));
            assert!(setting.help.ends_with('.') && !setting.allowed.is_empty(), "{}", setting.key);
        }
    }

    #[test]
    fn setting_names_are_unique() {
        let mut keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), SETTINGS.len());
    }

    #[test]
    fn public_url_follows_the_listener_unless_set() {
        let bound = "127.0.0.1:4711".parse().unwrap();
        let free = resolve(&Inputs::default().variable("DOORWARD_LISTEN", "127.0.0.1:0")).unwrap();
        assert_eq!(free.public_url_for(bound).as_str(), "http://127.0.0.1:4711");
        let set = resolve(&Inputs::default().variable("DOORWARD_PUBLIC_URL", "https://id.example")).unwrap();
        assert_eq!(set.public_url_for(bound).as_str(), "https://id.example");
    }
}
