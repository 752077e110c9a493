//! Checks settings that are valid individually but contradict each other.

use std::net::SocketAddr;
use std::time::Duration;

use super::definitions::{PartialSettings, Settings};
use super::inputs::Inputs;
use super::libpq_parameters::PARAMETERS;
use super::nearest::nearest;
use super::setting::Entry;

/// Returns a line for every contradiction among the settings that could be parsed.
pub(super) fn contradictions(partial: &PartialSettings, entries: &[Entry], inputs: &Inputs) -> Vec<String> {
    let checks = Checks { partial, entries, inputs };
    [
        checks.not_longer(
            "access_token_ttl",
            partial.access_token_ttl,
            "refresh_token_ttl",
            partial.refresh_token_ttl,
        ),
        checks.not_longer("refresh_token_ttl", partial.refresh_token_ttl, "session_ttl", partial.session_ttl),
        checks.one_secret_key(),
        checks.two_listeners(),
        checks.admin_password(),
        checks.database_parameters(),
        checks.database_in_the_clear().or_else(|| checks.database_without_tls()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

struct Checks<'a> {
    partial: &'a PartialSettings,
    entries: &'a [Entry],
    inputs: &'a Inputs,
}

impl Checks<'_> {
    fn shown(&self, key: &str) -> String {
        let entry = self.entries.iter().find(|entry| entry.setting.key == key);
        entry.map_or_else(|| key.to_owned(), Entry::to_string)
    }

    fn not_longer(
        &self,
        key: &str,
        ttl: Option<Duration>,
        other: &str,
        limit: Option<Duration>,
    ) -> Option<String> {
        let longer = ttl? > limit?;
        longer.then(|| format!("{}: it is longer than {}", self.shown(key), self.shown(other)))
    }

    fn one_secret_key(&self) -> Option<String> {
        let both =
            self.partial.secret_key.as_ref()?.is_some() && self.partial.secret_key_file.as_ref()?.is_some();
        let [key, file] = ["secret_key", "secret_key_file"].map(|key| self.shown(key));
        both.then(|| format!("{key}: {file} is also set; keep only one of them"))
    }

    fn two_listeners(&self) -> Option<String> {
        let same = overlap(self.partial.listen?, self.partial.metrics_listen?);
        same.then(|| {
            format!(
                "{}: the server itself listens there, {}",
                self.shown("metrics_listen"),
                self.shown("listen")
            )
        })
    }

    fn admin_password(&self) -> Option<String> {
        let password = self.partial.admin_password.as_ref()?.as_ref()?;
        let short = password.expose().chars().count() < self.partial.password_min_length? as usize;
        short.then(|| {
            format!(
                "{}: it is shorter than {}",
                self.shown("admin_password"),
                self.shown("password_min_length")
            )
        })
    }

    fn database_parameters(&self) -> Option<String> {
        let url = self.partial.database_url.as_ref()?.as_ref()?;
        let unknown = url.unknown_parameter()?;
        let hint = match unknown {
            "schema" | "search_path" | "currentSchema" => {
                "; to choose a schema, write options=-csearch_path%3DNAME".to_owned()
            }
            other => nearest(other, PARAMETERS.into_iter())
                .map(|known| format!("; did you mean {known}?"))
                .unwrap_or_default(),
        };
        let entry = self.shown("database_url");
        Some(format!("{entry}: libpq has no parameter {}{hint}", unknown.escape_debug()))
    }

    /// Checks `sslmode`. A libpq that cannot encrypt refuses `require` and stricter modes.
    fn database_without_tls(&self) -> Option<String> {
        let url = self.partial.database_url.as_ref()?.as_ref()?;
        let sslmode = url.sslmode(|name| self.variable(name))?;
        let entry = self.shown("database_url");
        let modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
        let sslmode = sslmode.as_str();
        if !modes.contains(&sslmode) {
            let sslmode = sslmode.escape_debug();
            return Some(format!("{entry}: sslmode {sslmode} does not exist; allowed: {}", modes.join(", ")));
        }
        let works = self.inputs.libpq_has_tls || modes[..3].contains(&sslmode);
        (!works).then(|| {
            format!(
                "{entry}: this build's libpq has no TLS, but sslmode={sslmode} requires it; use a build with \
                 the feature `tls`, or write sslmode=disable if the network to PostgreSQL is safe"
            )
        })
    }

    /// Returns an environment variable that libpq reads. An empty variable counts as not set.
    fn variable(&self, name: &str) -> Option<String> {
        let value = self.inputs.find_variable(name).filter(|value| !value.is_empty())?;
        Some(value.to_string_lossy().into_owned())
    }

    fn database_in_the_clear(&self) -> Option<String> {
        let url = self.partial.database_url.as_ref()?.as_ref()?;
        let host = url
            .remote_host(|name| self.variable(name))
            .filter(|_| !self.inputs.libpq_has_tls && !url.renounces_tls())?;
        let entry = self.shown("database_url");
        let host = host.escape_debug();
        Some(format!(
            "{entry}: this build's libpq has no TLS, and would send everything to the host {host} \
             unencrypted; use a build with the feature `tls`, or write sslmode=disable in the URL if the \
             network to PostgreSQL is safe"
        ))
    }
}

/// Returns whether the two addresses cannot both be listened on.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && (one.ip() == other.ip() || any)
}

impl Settings {
    /// Returns a line for each value that is allowed but rarely intended.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.public_url.is_https() && !self.public_url.is_local() {
            warnings.push(format!(
                "DOORWARD_PUBLIC_URL is {}: without https, passwords and tokens travel unencrypted",
                self.public_url
            ));
        }
        if self.public_url.is_unspecified() {
            warnings.push(format!(
                "DOORWARD_PUBLIC_URL is {}, an address that no one can open: set it to the address that \
                 people and clients use",
                self.public_url
            ));
        }
        if self.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
            warnings.push(
                "DOORWARD_TRUSTED_PROXIES contains all addresses of a family, so anyone can claim any address"
                    .into(),
            );
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Inputs, resolve};

    fn errors(inputs: &Inputs) -> Vec<String> {
        resolve(inputs).map(|_| Vec::new()).unwrap_or_else(|errors| errors.lines)
    }

    #[test]
    fn database_url_that_never_works_is_refused() {
        let with = |url: &str| errors(&Inputs::default().variable("DATABASE_URL", url));
        for (url, why) in [
            (
                "postgres:///auth?schema=public",
                "libpq has no parameter schema; to choose a schema, write options=",
            ),
            ("postgres:///auth?sslmod=disable", "libpq has no parameter sslmod; did you mean sslmode?"),
            ("postgres:///auth?pgbouncer=true", "libpq has no parameter pgbouncer"),
            (
                "postgres:///auth?sslmode=require",
                "sslmode=require requires it; use a build with the feature `tls`",
            ),
            ("postgres://db.example/auth?sslmode=verify-full", "use a build with the feature `tls`"),
            ("postgres:///auth?sslmode=on", "sslmode on does not exist; allowed: disable, allow"),
        ] {
            let lines = with(url);
            assert!(lines.len() == 1 && lines[0].contains(why), "{url}: {lines:?}");
        }
        let by_variable = Inputs::default().variable("DATABASE_URL", "postgres:///auth");
        assert_eq!(errors(&by_variable.clone().variable("PGSSLMODE", "require")).len(), 1);
        let with_tls = Inputs { libpq_has_tls: true, ..by_variable };
        assert_eq!(errors(&with_tls.variable("PGSSLMODE", "require")), [""; 0]);
        assert_eq!(with("postgres:///auth?sslmode=prefer&target_session_attrs=read-write"), [""; 0]);
    }

    #[test]
    fn lifetimes_must_nest() {
        let inputs =
            Inputs::default().variable("DOORWARD_ACCESS_TOKEN_TTL", "40d").file("session_ttl = \"7d\"\n");
        assert_eq!(
            errors(&inputs),
            [
                "DOORWARD_ACCESS_TOKEN_TTL = 40d (environment): it is longer than \
                 DOORWARD_REFRESH_TOKEN_TTL = 30d (default)",
                "DOORWARD_REFRESH_TOKEN_TTL = 30d (default): it is longer than \
                 DOORWARD_SESSION_TTL = 7d (doorward.toml:1)",
            ]
        );
        let equal = Inputs::default()
            .variable("DOORWARD_ACCESS_TOKEN_TTL", "1h")
            .variable("DOORWARD_REFRESH_TOKEN_TTL", "60m")
            .variable("DOORWARD_SESSION_TTL", "3600s");
        assert_eq!(errors(&equal), [""; 0]);
    }

    #[test]
    fn remote_database_requires_tls_or_an_explicit_disable() {
        let remote = Inputs::default().variable("DATABASE_URL", "postgres://me:hunter2@db.example/auth");
        let found = errors(&remote);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("DATABASE_URL = postgres://me:***@db.example/auth (environment): "));
        assert!(found[0].contains("libpq has no TLS") && found[0].contains("host db.example "));
        assert!(!found[0].contains("hunter2"));
        assert_eq!(errors(&Inputs { libpq_has_tls: true, ..remote }), [""; 0]);
        let explicit = "postgres://me@db.example/auth?sslmode=disable";
        assert_eq!(errors(&Inputs::default().variable("DATABASE_URL", explicit)), [""; 0]);
        let local = Inputs::default().variable("DATABASE_URL", "postgres:///auth").variable("PGHOST", "");
        assert_eq!(errors(&local), [""; 0]);
        assert_eq!(errors(&local.variable("PGHOSTADDR", "192.0.2.1")).len(), 1);
    }

    #[test]
    fn secret_key_must_have_one_source() {
        let both = Inputs::default()
            .variable("DOORWARD_SECRET_KEY", "0123456789abcdef0123456789abcdef")
            .flag("secret_key_file", "/run/key");
        assert_eq!(
            errors(&both),
            ["DOORWARD_SECRET_KEY = *** (environment): \
              DOORWARD_SECRET_KEY_FILE = /run/key (flag --secret-key-file) is also set; keep only one of them"]
        );
    }

    #[test]
    fn two_listeners_cannot_share_a_port() {
        let listen = |one: &str, other: &str| {
            let inputs = Inputs::default();
            errors(&inputs.variable("DOORWARD_LISTEN", one).variable("DOORWARD_METRICS_LISTEN", other)).len()
        };
        assert_eq!(listen("127.0.0.1:9464", "127.0.0.1:9464"), 1);
        assert_eq!(listen("0.0.0.0:9464", "127.0.0.1:9464"), 1);
        assert_eq!(listen("127.0.0.1:9464", "127.0.0.2:9464"), 0);
        assert_eq!(listen("127.0.0.1:0", "127.0.0.1:0"), 0);
    }

    #[test]
    fn admin_password_must_have_the_minimum_length() {
        let short = Inputs::default().variable("DOORWARD_ADMIN_PASSWORD", "elevenchars");
        assert_eq!(
            errors(&short),
            ["DOORWARD_ADMIN_PASSWORD = *** (environment): it is shorter than \
              DOORWARD_PASSWORD_MIN_LENGTH = 12 (default)"]
        );
        assert_eq!(errors(&short.variable("DOORWARD_PASSWORD_MIN_LENGTH", "11")), [""; 0]);
    }

    #[test]
    fn risky_settings_are_warnings() {
        let warnings = |inputs: &Inputs| resolve(inputs).unwrap().warnings().len();
        assert_eq!(warnings(&Inputs::default()), 0);
        assert_eq!(warnings(&Inputs::default().variable("DOORWARD_PUBLIC_URL", "http://id.example")), 1);
        assert_eq!(warnings(&Inputs::default().variable("DOORWARD_PUBLIC_URL", "https://id.example")), 0);
        assert_eq!(warnings(&Inputs::default().variable("DOORWARD_TRUSTED_PROXIES", "0.0.0.0/0")), 1);
    }

    #[test]
    fn unreachable_public_url_is_a_warning() {
        for url in ["http://0.0.0.0:8080", "http://[::]:8080", "http://[::ffff:0.0.0.0]:8080", "http://0"] {
            let settings = resolve(&Inputs::default().variable("DOORWARD_PUBLIC_URL", url)).unwrap();
            assert!(settings.warnings().iter().any(|warning| warning.contains("no one can open")), "{url}");
        }
        for listen in ["0.0.0.0:8080", "[::]:8080"] {
            let settings = resolve(&Inputs::default().variable("DOORWARD_LISTEN", listen)).unwrap();
            assert!(
                settings.warnings().iter().any(|warning| warning.contains("no one can open")),
                "{listen}"
            );
        }
    }
}
