//! The settings. This is the only module that reads the process's environment.

mod addresses;
mod checks;
mod database_url;
mod definitions;
mod duration;
mod file;
mod file_trust;
mod flags;
mod inputs;
mod kinds;
mod libpq_parameters;
mod listing;
mod nearest;
mod pass;
mod process;
mod resolve;
mod secret;
mod setting;
mod site;
mod unknown_variables;

pub use addresses::{PublicUrl, WebOrigin};
pub use database_url::DatabaseUrl;
pub use definitions::{SETTINGS, Settings};
pub use flags::SettingFlags;
pub use inputs::Inputs;
pub use kinds::{LogFilter, LogFormat, ProxyHeaderSetting, Registration, SigningAlgorithm, SimplejwtRoutes};
pub use listing::markdown;
pub use process::{
    executable, load, search_path, stderr_is_terminal, stdin_is_terminal, stdout_is_terminal,
    temporary_folder, wants_colour,
};
pub use resolve::{SettingsErrors, resolve};
pub use secret::{BYTE_ORDER_MARK, Secret, SecretKeyTexts, check_typed};
pub use setting::{DefaultValue, DefaultsContext, Entry, Setting, Source};
pub use site::SupportContact;
