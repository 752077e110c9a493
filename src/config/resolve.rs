//! Combines flags, environment, file and defaults into the settings, or reports all errors at once.

use std::fmt;

use super::checks;
use super::definitions::{PartialSettings, SETTINGS, Settings};
use super::inputs::Inputs;
use super::pass::Pass;
use super::unknown_variables::unknown_variables;

/// All errors in the settings, one per line. Secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsErrors {
    /// The lines. There is at least one.
    pub lines: Vec<String>,
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for SettingsErrors {}

/// Resolves the settings.
///
/// # Errors
/// Every unknown name, every wrong value and every contradiction between settings.
pub fn resolve(inputs: &Inputs) -> Result<Settings, SettingsErrors> {
    let mut pass = Pass::new(inputs, &SETTINGS, unknown_variables(inputs).collect());
    let partial = PartialSettings::read(&mut pass);
    let Pass { mut errors, entries, file, .. } = pass;
    errors.extend(checks::contradictions(&partial, &entries, inputs));
    let path = inputs.toml.is_some().then(|| file.path().to_owned());
    match partial.complete(entries, path) {
        Some(settings) if errors.is_empty() => Ok(settings),
        _ => Err(SettingsErrors { lines: errors }),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::path::PathBuf;

    use super::*;
    use crate::config::setting::Source;

    fn errors(inputs: &Inputs) -> Vec<String> {
        resolve(inputs).map(|_| Vec::new()).unwrap_or_else(|errors| errors.lines)
    }

    fn entry(inputs: &Inputs, key: &str) -> (Option<String>, Source) {
        let settings = resolve(inputs).unwrap();
        let entry = settings.entries().iter().find(|entry| entry.setting.key == key).unwrap();
        (entry.value.clone(), entry.source.clone())
    }

    #[test]
    fn one_line_break_after_a_secret_is_removed() {
        for end in ["", "\n", "\r\n"] {
            let inputs = Inputs::default()
                .variable("DOORWARD_ADMIN_PASSWORD", &format!("correct horse battery{end}"))
                .variable("DOORWARD_SECRET_KEY", &format!("{}{end}", "k".repeat(32)))
                .variable("DATABASE_URL", &format!("postgres:///auth{end}"));
            let settings = resolve(&inputs).unwrap();
            assert_eq!(settings.admin_password.unwrap().expose(), "correct horse battery");
            assert_eq!(settings.database_url.unwrap().expose(), "postgres:///auth");
        }
        for wrong in ["correct horse battery\n\n", "correct\thorse battery", "correct\u{1b} horse battery"] {
            let lines = errors(&Inputs::default().variable("DOORWARD_ADMIN_PASSWORD", wrong));
            assert!(lines[0].contains("its character") && !lines[0].contains("horse"), "{lines:?}");
        }
    }

    #[test]
    fn defaults_apply_without_inputs() {
        let settings = resolve(&Inputs::default()).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.public_url.as_str(), "http://127.0.0.1:8080");
        assert_eq!(settings.data_dir, PathBuf::from("./data"));
        assert_eq!((settings.database_connections, settings.max_sessions), (8, 100));
        assert_eq!(settings.refresh_token_ttl.as_secs(), 30 * 86_400);
        assert!(settings.database_url.is_none() && settings.cors_origins.is_empty());
        assert_eq!(settings.entries().len(), SETTINGS.len());
        assert!(settings.entries().iter().all(|entry| entry.source == Source::Default));
        assert!(settings.file().is_none());
    }

    #[test]
    fn defaults_depend_on_user_processors_and_listener() {
        let inputs = Inputs { is_root: true, processors: 6, ..Inputs::default() };
        let settings = resolve(&inputs.variable("DOORWARD_LISTEN", "[::1]:80")).unwrap();
        assert_eq!(settings.data_dir, PathBuf::from("/var/lib/doorward"));
        assert_eq!(settings.database_connections, 12);
        assert_eq!(settings.public_url.as_str(), "http://[::1]");
        let many = Inputs { processors: 4_096, ..Inputs::default() };
        assert_eq!(resolve(&many).unwrap().database_connections, 1_000);
    }

    #[test]
    fn flags_override_the_environment_which_overrides_the_file() {
        let file = Inputs::default().file("\nbcrypt_cost = 11\n");
        assert_eq!(entry(&file, "bcrypt_cost"), (Some("11".into()), Source::File("doorward.toml".into(), 2)));
        let environment = file.variable("DOORWARD_BCRYPT_COST", "13");
        assert_eq!(entry(&environment, "bcrypt_cost"), (Some("13".into()), Source::Environment));
        let flag = environment.flag("bcrypt_cost", "14");
        assert_eq!(entry(&flag, "bcrypt_cost"), (Some("14".into()), Source::Flag("bcrypt-cost".into())));
    }

    #[test]
    fn empty_list_in_the_environment_clears_that_of_the_file() {
        let inputs = Inputs::default().file("audiences = [\"api\", \"web\"]\n");
        assert_eq!(resolve(&inputs).unwrap().audiences, ["api", "web"]);
        let taken_back = inputs.variable("DOORWARD_AUDIENCES", "");
        assert_eq!(entry(&taken_back, "audiences"), (None, Source::Environment));
    }

    #[test]
    fn invalid_value_reports_name_value_source_and_allowed_values() {
        let inputs = Inputs::default().flag("listen", "localhost");
        assert_eq!(
            errors(&inputs),
            [
                "DOORWARD_LISTEN = \"localhost\" (flag --listen): it is not an IP address with a port; allowed: \
                 an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080; port 0 chooses a free one"
            ]
        );
        let wrong = [
            ("DATABASE_URL", "mysql://db"),
            ("DOORWARD_DATA_DIR", ""),
            ("DOORWARD_SECRET_KEY", "short"),
            ("DOORWARD_SECRET_KEY_FILE", ""),
            ("DOORWARD_LISTEN", "8080"),
            ("DOORWARD_PUBLIC_URL", "id.example"),
            ("DOORWARD_METRICS_LISTEN", "off"),
            ("DOORWARD_TRUSTED_PROXIES", "proxy"),
            ("DOORWARD_PROXY_HEADER", "x-real-ip"),
            ("DOORWARD_ADMIN_USERNAME", "a\nb"),
            ("DOORWARD_ADMIN_PASSWORD", ""),
            ("DOORWARD_ACCESS_TOKEN_TTL", "300"),
            ("DOORWARD_REFRESH_TOKEN_TTL", "0s"),
            ("DOORWARD_SESSION_TTL", "3651d"),
            ("DOORWARD_REFRESH_GRACE", "61m"),
            ("DOORWARD_BROWSER_SESSION_IDLE_TTL", "long"),
            ("DOORWARD_BROWSER_SESSION_KEPT_TTL", "0d"),
            ("DOORWARD_STEP_UP_MAX_AGE", "quarter"),
            ("DOORWARD_MAX_SESSIONS", "0"),
            ("DOORWARD_AUDIENCES", "a b"),
            ("DOORWARD_SIGNING_ALGORITHM", "none"),
            ("DOORWARD_PASSWORD_MIN_LENGTH", "7"),
            ("DOORWARD_REGISTRATION", "maybe"),
            ("DOORWARD_SIMPLEJWT_ROUTES", "yes"),
            ("DOORWARD_LOGIN_FAILURES", "0"),
            ("DOORWARD_LOGIN_FAILURES_PER_ADDRESS", "many"),
            ("DOORWARD_LOGIN_FAILURES_PER_KNOWN_ADDRESS", "0"),
            ("DOORWARD_LOGIN_FAILURES_IN_ALL", "-1"),
            ("DOORWARD_LOGIN_WAIT_MAX", "25h"),
            ("DOORWARD_KNOWN_ADDRESS_RETENTION", "forever"),
            ("DOORWARD_REGISTRATIONS_PER_ADDRESS", "0"),
            ("DOORWARD_TOKENS_PER_USER", "1.5"),
            ("DOORWARD_TOKEN_TTL_MAX", "3651d"),
            ("DOORWARD_UNPROVEN_PER_ADDRESS", "1000001"),
            ("DOORWARD_CORS_ORIGINS", "*"),
            ("DOORWARD_REFUSAL_RETENTION", "-1d"),
            ("DOORWARD_REFUSAL_ROWS", "99"),
            ("DOORWARD_AUDIT_RETENTION", "1y"),
            ("DOORWARD_SITE_NAME", "a\nb"),
            ("DOORWARD_SITE_LOGO", ""),
            ("DOORWARD_SITE_COLOUR", "#ffcc00"),
            ("DOORWARD_SITE_SUPPORT", "javascript:alert(1)"),
            ("DOORWARD_LOG", "loud"),
            ("DOORWARD_LOG_FORMAT", "xml"),
            ("DOORWARD_BCRYPT_COST", "16"),
            ("DOORWARD_REMEMBERED", "0"),
            ("DOORWARD_DATABASE_CONNECTIONS", "1"),
        ];
        assert_eq!(
            wrong.map(|(name, _)| name).as_slice(),
            SETTINGS.iter().map(|it| it.environment).collect::<Vec<_>>()
        );
        let inputs =
            wrong.iter().fold(Inputs::default(), |inputs, (name, value)| inputs.variable(name, value));
        let lines = errors(&inputs);
        assert_eq!(lines.len(), wrong.len());
        for (line, (name, value)) in lines.iter().zip(wrong) {
            let setting = SETTINGS.iter().find(|setting| setting.environment == name).unwrap();
            let shown = if setting.secret { "***".to_owned() } else { format!("{value:?}") };
            assert!(line.starts_with(&format!("{name} = {shown} (environment): ")), "{line}");
            assert!(line.ends_with(&format!("; allowed: {}", setting.allowed)), "{line}");
            assert!(!line.contains('\n'));
        }
    }

    #[test]
    fn values_names_and_contradictions_are_reported_at_once() {
        let inputs = Inputs::default()
            .flag("log", "infoo")
            .variable("DOORWARD_LISETN", "x")
            .variable("DOORWARD_SESSION_TTL", "1d")
            .file("acess_token_ttl = \"5m\"\nmax_sessions = \"many\"\n");
        let lines = errors(&inputs);
        let starts = [
            "DOORWARD_LISETN (environment): there is no such setting; did you mean DOORWARD_LISTEN?",
            "acess_token_ttl (doorward.toml:1): there is no such setting; did you mean access_token_ttl?",
            "DOORWARD_MAX_SESSIONS = \"many\" (doorward.toml:2): ",
            "DOORWARD_LOG = \"infoo\" (flag --log): ",
            "DOORWARD_REFRESH_TOKEN_TTL = 30d (default): it is longer than DOORWARD_SESSION_TTL = 1d",
        ];
        assert_eq!(lines.len(), starts.len(), "{lines:#?}");
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
    }

    #[test]
    fn broken_file_does_not_hide_other_errors() {
        let lines = errors(&Inputs::default().variable("DOORWARD_LOG", "x").file("listen = \n"));
        assert!(lines[0].starts_with("doorward.toml:1:"), "{lines:?}");
        assert!(lines[1].starts_with("DOORWARD_LOG = "), "{lines:?}");
    }

    #[test]
    fn table_in_the_file_is_not_a_value() {
        let lines = errors(&Inputs::default().file("[listen]\nport = 1\n"));
        assert!(lines[0].starts_with("DOORWARD_LISTEN = … (doorward.toml:1): it is a table; "), "{lines:?}");
    }

    #[test]
    fn values_that_are_not_utf8_are_refused() {
        let bytes = OsString::from_vec(b"a\xff".to_vec());
        let mut inputs = Inputs::default();
        inputs.environment.push(("DOORWARD_DATA_DIR".into(), bytes.clone()));
        inputs.environment.push(("DOORWARD_ADMIN_PASSWORD".into(), bytes));
        let lines = errors(&inputs);
        assert!(
            lines[0].starts_with("DOORWARD_DATA_DIR = \"a\u{fffd}\" (environment): it is not UTF-8"),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("DOORWARD_ADMIN_PASSWORD = *** (environment): it is not UTF-8"),
            "{lines:?}"
        );
    }

    #[test]
    fn settings_and_their_errors_never_show_secrets() {
        let inputs = Inputs::default()
            .variable("DATABASE_URL", "postgres://me:hunter2@localhost/auth")
            .variable("DOORWARD_SECRET_KEY", &"hunter2".repeat(6))
            .variable("DOORWARD_ADMIN_PASSWORD", "hunter2hunter2");
        let settings = resolve(&inputs).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert_eq!(entry(&inputs, "database_url").0.as_deref(), Some("postgres://me:***@localhost/auth"));
        assert_eq!(settings.admin_password.unwrap().expose(), "hunter2hunter2");
        let wrong = Inputs::default()
            .variable("DATABASE_URL", "postgres://me:hunter2@hunter2@localhost/auth")
            .variable("DOORWARD_SECRET_KEY", "hunter2")
            .file("admin_password = [[\"hunter2\"]]\n");
        let lines = errors(&wrong);
        assert_eq!(lines.len(), 3);
        assert!(!lines.concat().contains("hunter2"), "{lines:?}");
    }

    #[test]
    fn long_value_is_cut_and_control_characters_are_escaped() {
        let lines = errors(&Inputs::default().variable("DOORWARD_LOG", &"\u{1b}[2J".repeat(100)));
        assert!(lines[0].contains("\\u{1b}[2J") && lines[0].contains("…\""), "{lines:?}");
        assert!(!lines[0].contains('\u{1b}') && lines[0].len() < 1_000, "{lines:?}");
    }
}
