//! doorward: an authentication and token service that tells you why it said no.

pub mod cli;
pub mod clock;
pub mod config;
pub mod random;
