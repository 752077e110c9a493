//! The context of a command, which is the settings given as flags.

use super::failure::Failure;
use crate::config::{SettingFlags, Settings, load};

/// The settings that a command was given as flags.
#[derive(Debug)]
pub struct Context {
    flags: SettingFlags,
}

impl Context {
    #[must_use]
    pub fn new(flags: SettingFlags) -> Self {
        Self { flags }
    }

    /// Loads the settings in force.
    ///
    /// # Errors
    /// All errors in the settings, one per line.
    pub fn settings(&self) -> Result<Settings, Failure> {
        Ok(load(&self.flags)?)
    }
}
