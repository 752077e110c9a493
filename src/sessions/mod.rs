//! Sessions: one object behind the browser's cookie and the token pair.

pub mod last_use;
pub mod refresh_token;
pub mod rotate;
pub mod session;

pub use last_use::LastUse;
pub use rotate::{Presented, Rotation, rotate};
pub use session::{EndReason, Grant, Limits, NewSession, Session, Standing, StandingUser, Which};
