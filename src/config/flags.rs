//! Creates the command line's flags from the definitions of the settings.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, PathBufValueParser};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, ValueHint};

use super::definitions::SETTINGS;
use super::inputs::CONFIG_VARIABLE;

/// The settings that were given as flags, before or after the command.
#[derive(Clone, Default)]
pub struct SettingFlags {
    /// A setting's key and the value.
    pub values: Vec<(&'static str, OsString)>,
    /// The settings file.
    pub config: Option<PathBuf>,
}

impl std::fmt::Debug for SettingFlags {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<_> = self.values.iter().map(|(key, _)| key).collect();
        formatter.debug_struct("SettingFlags").field("keys", &keys).field("config", &self.config).finish()
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG_VARIABLE)
            .long("config")
            .value_name("FILE")
            .value_parser(PathBufValueParser::new())
            .value_hint(ValueHint::FilePath)
            .help("The settings file [default: ./doorward.toml, when it is there]")
            .global(true)
            .help_heading("Settings");
        let flags = SETTINGS.iter().map(|setting| {
            let warning = if setting.secret { " A flag is seen in the list of processes." } else { "" };
            let default = setting.default.to_string().replace('`', "");
            let (help, allowed, name) = (&setting.help, &setting.allowed, setting.environment);
            Arg::new(name)
                .long(setting.flag.as_str())
                .value_name("VALUE")
                .value_parser(OsStringValueParser::new())
                .help(format!("{help}{warning} Allowed: {allowed} [env: {name}] [default: {default}]"))
                .global(true)
                .hide_short_help(true)
                .help_heading("Settings")
        });
        command.arg(config).args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |name| matches.get_one::<OsString>(name).cloned();
        let values = SETTINGS
            .iter()
            .filter_map(|setting| value(setting.environment).map(|value| (setting.key, value)))
            .collect();
        Ok(Self { values, config: matches.get_one(CONFIG_VARIABLE).cloned() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
