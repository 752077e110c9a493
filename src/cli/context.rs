//! The context of a command: the flags of settings that it was given.

use super::failure::Failure;
use crate::config::{SettingFlags, Settings, load};

/// The flags that every command has.
#[derive(Debug)]
pub struct Context {
    flags: SettingFlags,
}

impl Context {
    /// With these flags.
    #[must_use]
    pub fn new(flags: SettingFlags) -> Self {
        Self { flags }
    }

    /// The settings in force.
    ///
    /// # Errors
    /// Everything that is wrong with them, a line each.
    pub fn settings(&self) -> Result<Settings, Failure> {
        Ok(load(&self.flags)?)
    }
}
