//! The settings as a page in Markdown, `docs/settings.md`: an introduction, and a table for each group.

use super::definitions::SETTINGS;
use super::kinds::{DURATION, NUMBER};
use super::setting::Setting;

const INTRODUCTION: &str = "# Settings

doorward takes each setting from the first of these that has it: a flag, an environment variable, `doorward.toml`, the default.
`doorward config` prints the settings in force and the source of each. `doorward config --markdown` prints this page.

- **Names.** `DOORWARD_PUBLIC_URL` is also the flag `--public-url` and the key `public_url` in `doorward.toml`. `DATABASE_URL` is
  `--database-url` and `database_url`.
- **The file.** `--config` or `DOORWARD_CONFIG` names it. Otherwise doorward reads `./doorward.toml` if it exists. As root, doorward
  reads that one only if root alone can write to it and to every folder above it; otherwise it stops and says so.
- **Durations** are a whole number with a unit: `90s`, `5m`, `2h` or `30d`. The tables give their bounds, and those of whole numbers.
  Bounds are inclusive.
- **Lists** are separated by commas; in `doorward.toml` they may be arrays.
- **Secrets** do not include one line break at their end.
- **Mistakes.** An unknown setting or a wrong value stops the start. doorward reports all mistakes at once, each with its source and
  what is allowed.

[Running doorward](operations.md) says which settings you need behind a proxy, in a container and on several nodes.
";

/// The groups in the order of the page, each with the keys of its settings.
const GROUPS: [(&str, &[&str]); 7] = [
    (
        "Server",
        &[
            "database_url",
            "data_dir",
            "secret_key",
            "secret_key_file",
            "listen",
            "public_url",
            "metrics_listen",
            "trusted_proxies",
            "proxy_header",
            "cors_origins",
            "database_connections",
            "remembered",
        ],
    ),
    (
        "Accounts and passwords",
        &["admin_username", "admin_password", "registration", "password_min_length", "bcrypt_cost"],
    ),
    (
        "Tokens and sessions",
        &[
            "access_token_ttl",
            "refresh_token_ttl",
            "session_ttl",
            "refresh_grace",
            "browser_session_idle_ttl",
            "browser_session_kept_ttl",
            "step_up_max_age",
            "max_sessions",
            "token_ttl_max",
            "audiences",
            "signing_algorithm",
            "simplejwt_routes",
        ],
    ),
    (
        "Limits",
        &[
            "login_failures",
            "login_failures_per_address",
            "login_failures_per_known_address",
            "login_failures_in_all",
            "login_wait_max",
            "registrations_per_address",
            "tokens_per_user",
            "unproven_per_address",
        ],
    ),
    ("Retention", &["known_address_retention", "refusal_retention", "refusal_rows", "audit_retention"]),
    ("Pages", &["site_name", "site_logo", "site_colour", "site_support"]),
    ("Logging", &["log", "log_format"]),
];

/// Returns the page. It does not depend on the settings in force.
#[must_use]
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (title, keys) in GROUPS {
        page.push_str(&format!(
            "\n## {title}\n\n| setting | default | allowed | what it does |\n| --- | --- | --- | --- |\n"
        ));
        for setting in keys.iter().filter_map(|key| SETTINGS.iter().find(|setting| setting.key == *key)) {
            page.push_str(&row(setting));
        }
    }
    page
}

fn row(setting: &Setting) -> String {
    let allowed = setting.allowed.strip_prefix(DURATION).or_else(|| setting.allowed.strip_prefix(NUMBER));
    let cells = [
        format!("`{}`", setting.environment),
        setting.default.to_string(),
        allowed.unwrap_or(&setting.allowed).to_owned(),
        setting.help.clone(),
    ];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_in_exactly_one_group() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
        let mut defined: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
        grouped.sort_unstable();
        defined.sort_unstable();
        assert_eq!(grouped, defined);
    }

    #[test]
    fn every_setting_has_a_complete_row() {
        let page = markdown();
        for setting in SETTINGS.iter() {
            let start = format!("| `{}` | {} | ", setting.environment, setting.default);
            let row = page.lines().find(|line| line.starts_with(&start)).unwrap();
            assert_eq!(row.matches(" | ").count(), 3, "{row}");
            assert!(row.ends_with(&format!(" | {} |", setting.help)), "{row}");
        }
        assert!(page.contains("| `DOORWARD_ACCESS_TOKEN_TTL` | `5m` | 1s to 3650d | "));
        assert!(page.contains("| `DOORWARD_MAX_SESSIONS` | `100` | 1 to 10000 | "));
    }
}
