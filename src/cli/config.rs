//! `doorward config`: prints the settings in force.

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::failure::{Failure, print_error};
use super::output::{Format, Output};
use crate::config::{Settings, markdown};

/// Arguments of `doorward config`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  doorward config --json\n  doorward config --config /etc/doorward.toml")]
pub struct ConfigArgs {
    #[command(flatten)]
    pub format: Format,
    /// Print a page in Markdown about all settings, regardless of the settings in force.
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}

impl ConfigArgs {
    /// Prints each setting with its value and its source. Secrets are masked.
    ///
    /// # Errors
    /// All errors in the settings, or standard output cannot be written.
    pub fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut output = Output::stdout(self.format);
        if self.markdown {
            return output.verbatim(&markdown());
        }
        let settings = context.settings()?;
        print_error(&settings.warnings());
        print(&settings, &mut output)
    }
}

/// The JSON output.
#[derive(Serialize)]
struct Listing<'a> {
    file: Option<String>,
    settings: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    value: Option<&'a str>,
    source: String,
}

fn print(settings: &Settings, output: &mut Output) -> Result<(), Failure> {
    let rows = settings.entries().iter().map(|entry| Row {
        name: entry.setting.environment,
        value: entry.value.as_deref(),
        source: entry.source.to_string(),
    });
    if output.is_json() {
        let file = settings.file().map(|path| path.display().to_string());
        return output.json(&Listing { file, settings: rows.collect() });
    }
    let cells = rows.map(|row| [row.name.to_owned(), row.value.unwrap_or("none").to_owned(), row.source]);
    output.table(["setting", "value", "source"], cells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::printed;
    use crate::config::{Inputs, SETTINGS, resolve};

    fn settings() -> Settings {
        let inputs = Inputs::default()
            .variable("DATABASE_URL", "postgres://me:hunter2@localhost/auth")
            .flag("bcrypt_cost", "10")
            .file("audiences = [\"api\"]\n");
        resolve(&inputs).unwrap()
    }

    #[test]
    fn text_shows_value_and_source_and_masks_secrets() {
        let text = printed(false, |output| print(&settings(), output));
        let row = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(row("DATABASE_URL"), "postgres://me:***@localhost/auth environment");
        assert_eq!(row("DOORWARD_BCRYPT_COST"), "10 flag --bcrypt-cost");
        assert_eq!(row("DOORWARD_AUDIENCES"), "api doorward.toml:1");
        assert_eq!(row("DOORWARD_CORS_ORIGINS"), "none default");
        assert_eq!(text.lines().count(), SETTINGS.len() + 1);
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn json_shows_the_settings_and_the_file() {
        let text = printed(true, |output| print(&settings(), output));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["file"], "doorward.toml");
        let rows = value["settings"].as_array().unwrap();
        assert_eq!(rows.len(), SETTINGS.len());
        assert_eq!(
            rows[0],
            serde_json::json!({
                "name": "DATABASE_URL", "value": "postgres://me:***@localhost/auth", "source": "environment"
            })
        );
        assert!(!text.contains("hunter2"));
    }
}
