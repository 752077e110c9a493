//! Sessions: one object behind the browser's cookie and the token pair.

pub mod session;

pub use session::{EndReason, Grant, Limits, NewSession, Session, Standing, StandingUser, Which};
