//! Sessions: one object behind the browser's cookie and the token pair.

pub mod begin;
pub mod end;
pub mod last_use;
pub mod refresh_token;
pub mod rotate;
pub mod session;
pub mod standing;

pub use begin::{NewSession, begin};
pub use end::{EndReason, Which, end_sessions};
pub use last_use::LastUse;
pub use rotate::{Presented, Rotation, rotate};
pub use session::{Grant, Limits, Session};
pub use standing::{Standing, StandingUser, find_standing};
