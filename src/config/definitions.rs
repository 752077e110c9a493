//! The definition of every setting. Nothing else defines one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use ipnet::IpNet;

use super::addresses::{Origin, PublicUrl};
use super::database_url::DatabaseUrl;
use super::kinds::{
    self, LogFilter, LogFormat, ProxyHeader, Registration, SigningAlgorithm, SimplejwtRoutes,
};
use super::pass::Pass;
use super::secret::{Secret, SecretKeys};
use super::setting::DefaultValue::{Computed, Nothing, Text};
use super::setting::{Entry, Place, Setting, Source};

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
        pub(super) struct Partial {
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

        impl Partial {
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
    /// Without TLS in this build (see `doorward --version`), one on this machine, or `sslmode=disable`.
    database_url: Option<DatabaseUrl> = "DATABASE_URL",
        Nothing("a private PostgreSQL under the data folder"), kinds::database_url().optional();
    /// The folder of the private PostgreSQL and of the secret key file.
    data_dir: PathBuf = "DOORWARD_DATA_DIR",
        Computed("`./data`; as root `/var/lib/doorward`", Place::data_dir), kinds::path();
    /// Seals signing keys at rest and derives refresh tokens: the same on all nodes.
    /// Of several, the first makes and all open.
    secret_key: Option<SecretKeys> = "DOORWARD_SECRET_KEY",
        Nothing("the key file"), kinds::secret_keys().optional();
    /// A file with the secret keys, one per line.
    secret_key_file: Option<PathBuf> = "DOORWARD_SECRET_KEY_FILE",
        Nothing("a file in the data folder, made for an empty database"), kinds::path().optional();
    /// Where the server listens.
    listen: SocketAddr = "DOORWARD_LISTEN", Text("127.0.0.1:8080"), kinds::socket_address();
    /// How people and clients reach the server: the issuer of tokens, links; over https, secure cookies.
    public_url: PublicUrl = "DOORWARD_PUBLIC_URL",
        Computed("`http://<listen>`", Place::public_url), kinds::public_url();
    /// Where the metrics are served.
    metrics_listen: SocketAddr = "DOORWARD_METRICS_LISTEN", Text("127.0.0.1:9464"), kinds::socket_address();
    /// The proxies whose `Forwarded` and `X-Forwarded-For` are believed.
    trusted_proxies: Vec<IpNet> = "DOORWARD_TRUSTED_PROXIES", Nothing(""), kinds::networks();
    /// The header that these proxies write. `auto` reads both.
    /// With `auto`, requests in which the two name different clients have no known address and share one limit.
    proxy_header: ProxyHeader = "DOORWARD_PROXY_HEADER", Text("auto"), kinds::proxy_header();
    /// The first admin's name, made at the first start of an empty database.
    admin_username: String = "DOORWARD_ADMIN_USERNAME", Text("admin"), kinds::username();
    /// The first admin's password.
    admin_password: Option<Secret> = "DOORWARD_ADMIN_PASSWORD",
        Nothing("a random one, printed once"), kinds::password().optional();
    /// How long an access token is good.
    access_token_ttl: Duration = "DOORWARD_ACCESS_TOKEN_TTL",
        Text("5m"), kinds::duration(SECOND..=TEN_YEARS);
    /// How long a session lives without a refresh.
    refresh_token_ttl: Duration = "DOORWARD_REFRESH_TOKEN_TTL",
        Text("30d"), kinds::duration(SECOND..=TEN_YEARS);
    /// How long a session lives at most.
    session_ttl: Duration = "DOORWARD_SESSION_TTL", Text("90d"), kinds::duration(SECOND..=TEN_YEARS);
    /// How long a spent refresh token may be repeated, and what was held before a step-up may still be used once the new
    /// cookie or token was; `0s`: no time.
    refresh_grace: Duration = "DOORWARD_REFRESH_GRACE",
        Text("10s"), kinds::duration(Duration::ZERO..=HOUR);
    /// How long a browser's session lives without being used.
    browser_session_idle_ttl: Duration = "DOORWARD_BROWSER_SESSION_IDLE_TTL",
        Text("12h"), kinds::duration(MINUTE..=TEN_YEARS);
    /// The same where the user asked to be kept signed in.
    browser_session_kept_ttl: Duration = "DOORWARD_BROWSER_SESSION_KEPT_TTL",
        Text("30d"), kinds::duration(MINUTE..=TEN_YEARS);
    /// How old a sign-in may be for what grants power.
    step_up_max_age: Duration = "DOORWARD_STEP_UP_MAX_AGE",
        Text("15m"), kinds::duration(SECOND..=TEN_YEARS);
    /// Sessions per user; past it the one used longest ago ends.
    max_sessions: u32 = "DOORWARD_MAX_SESSIONS", Text("100"), kinds::number(1..=10_000);
    /// Further audiences of access tokens.
    audiences: Vec<String> = "DOORWARD_AUDIENCES", Nothing(""), kinds::audiences();
    /// What new signing keys are made for.
    signing_algorithm: SigningAlgorithm = "DOORWARD_SIGNING_ALGORITHM",
        Text("ES256"), kinds::signing_algorithm();
    /// The fewest characters of a new password.
    password_min_length: u32 = "DOORWARD_PASSWORD_MIN_LENGTH", Text("12"), kinds::number(8..=64);
    /// Whether anybody may make an account for himself.
    registration: Registration = "DOORWARD_REGISTRATION", Text("closed"), kinds::registration();
    /// Whether `/api/token/…` answers as djangorestframework-simplejwt does; `rotate`: a refresh spends its token.
    simplejwt_routes: SimplejwtRoutes = "DOORWARD_SIMPLEJWT_ROUTES", Text("off"), kinds::simplejwt_routes();
    /// Wrong passwords an hour that cost no wait, for one name; those after them cost 2, 4, 8 … s.
    /// An address from which its account was signed in to before has a count of its own.
    login_failures: u32 = "DOORWARD_LOGIN_FAILURES", Text("5"), kinds::number(1..=1_000_000);
    /// The same for all names from one address.
    /// An IPv6 address counts by its first 64 bits, by 56 with half as many more, and by 48 with twice as many.
    login_failures_per_address: u32 = "DOORWARD_LOGIN_FAILURES_PER_ADDRESS",
        Text("50"), kinds::number(1..=1_000_000);
    /// Wrong passwords an hour from one address for the names whose accounts were signed in to from there before.
    /// The first for a name counts whole, further ones less. Past it one try an hour is free for each of these names there.
    login_failures_per_known_address: u32 = "DOORWARD_LOGIN_FAILURES_PER_KNOWN_ADDRESS",
        Text("100"), kinds::number(1..=1_000_000);
    /// Wrong passwords an hour that cost no wait, for all names from all addresses.
    login_failures_in_all: u32 = "DOORWARD_LOGIN_FAILURES_IN_ALL",
        Text("10000"), kinds::number(1..=1_000_000);
    /// The longest of these waits.
    login_wait_max: Duration = "DOORWARD_LOGIN_WAIT_MAX", Text("15m"), kinds::duration(SECOND..=DAY);
    /// How long an address counts as one that an account was signed in to from.
    known_address_retention: Duration = "DOORWARD_KNOWN_ADDRESS_RETENTION",
        Text("90d"), kinds::duration(Duration::ZERO..=TEN_YEARS);
    /// Accounts an hour that may be made from one address without a wait.
    registrations_per_address: u32 = "DOORWARD_REGISTRATIONS_PER_ADDRESS",
        Text("10"), kinds::number(1..=1_000_000);
    /// Personal tokens that a user may make in an hour, on each node.
    tokens_per_user: u32 = "DOORWARD_TOKENS_PER_USER", Text("60"), kinds::number(1..=1_000_000);
    /// How long a personal token may be good; those that were made before a change are not affected.
    token_ttl_max: Duration = "DOORWARD_TOKEN_TTL_MAX", Text("3650d"), kinds::duration(SECOND..=TEN_YEARS);
    /// Requests that prove nothing from one address in a minute, on each node.
    /// They are unknown refresh tokens, one-time links, and explanations without a credential.
    unproven_per_address: u32 = "DOORWARD_UNPROVEN_PER_ADDRESS", Text("60"), kinds::number(1..=1_000_000);
    /// The web origins whose scripts may call the API.
    cors_origins: Vec<Origin> = "DOORWARD_CORS_ORIGINS", Nothing(""), kinds::origins();
    /// How long refused requests are kept, to be looked up by their ids; `0s`: not at all.
    refusal_retention: Duration = "DOORWARD_REFUSAL_RETENTION",
        Text("7d"), kinds::duration(Duration::ZERO..=TEN_YEARS);
    /// Refused requests that are kept at most: a quarter as many of credentials that were over, and a tenth as many in which none was proven. Users share what is full.
    refusal_rows: u32 = "DOORWARD_REFUSAL_ROWS", Text("100000"), kinds::number(100..=10_000_000);
    /// How long audit events are kept.
    audit_retention: Duration = "DOORWARD_AUDIT_RETENTION",
        Text("400d"), kinds::duration(SECOND..=TEN_YEARS);
    /// What is logged.
    log: LogFilter = "DOORWARD_LOG", Text("info"), kinds::log_filter();
    /// How log lines are written; `auto`: text on a terminal, JSON otherwise.
    log_format: LogFormat = "DOORWARD_LOG_FORMAT", Text("auto"), kinds::log_format();
    /// The cost of password hashes; one of another cost is made anew at the next sign-in.
    bcrypt_cost: u32 = "DOORWARD_BCRYPT_COST", Text("12"), kinds::number(10..=15);
    /// Tokens and sessions of each kind that a node remembers, so that their requests ask no database.
    remembered: u32 = "DOORWARD_REMEMBERED", Text("100000"), kinds::number(1_000..=10_000_000);
    /// Connections to PostgreSQL.
    database_connections: u32 = "DOORWARD_DATABASE_CONNECTIONS",
        Computed("twice the cores, at least 8", Place::database_connections), kinds::number(2..=1_000);
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
    fn the_names_of_a_setting_are_one_name_in_three_spellings() {
        for setting in SETTINGS.iter() {
            let prefix = if setting.key == "database_url" { "" } else { "DOORWARD_" };
            assert_eq!(setting.environment, format!("{prefix}{}", setting.key.to_uppercase()));
            assert_eq!(setting.flag, setting.key.replace('_', "-"));
            assert!(setting.help.ends_with('.') && !setting.allowed.is_empty(), "{}", setting.key);
        }
    }

    #[test]
    fn no_two_settings_share_a_name() {
        let mut keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), SETTINGS.len());
    }

    #[test]
    fn the_public_url_follows_the_listener_unless_it_is_set() {
        let bound = "127.0.0.1:4711".parse().unwrap();
        let free = resolve(&Inputs::default().variable("DOORWARD_LISTEN", "127.0.0.1:0")).unwrap();
        assert_eq!(free.public_url_for(bound).as_str(), "http://127.0.0.1:4711");
        let set = resolve(&Inputs::default().variable("DOORWARD_PUBLIC_URL", "https://id.example")).unwrap();
        assert_eq!(set.public_url_for(bound).as_str(), "https://id.example");
    }
}
