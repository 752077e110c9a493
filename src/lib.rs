//! doorward: an authentication and token service that tells you why it said no.

pub mod audit;
pub mod blocking;
pub mod clock;
pub mod database;
pub mod random;
pub mod sessions;
pub mod tokens;
