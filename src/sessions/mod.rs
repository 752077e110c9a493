//! Sessions. One session row is behind a browser's cookie or an API client's token pair.

pub mod begin;
pub mod cookie_digest;
pub mod cookie_key;
pub mod end;
pub mod former;
pub mod last_use;
pub mod life;
pub mod refresh_token;
pub mod renewal;
pub mod rotate;
pub mod session;
pub mod standing;
pub mod statistics;
pub mod step_up;
pub mod unchanged;

pub use begin::{HeldBy, NewSession, begin};
pub use cookie_digest::CookieDigest;
pub use cookie_key::CookieKey;
pub use end::{EndReason, Which, end_sessions, find_unended};
pub use former::rotate_former;
pub use last_use::LastUse;
pub use life::{SessionLife, find_life};
pub use renewal::{Before, NewSecret, Renewed};
pub use rotate::{Presented, Rotation, Turn, rotate, rotate_all};
pub use session::{Grant, Limits, Session, SessionKind};
pub use standing::{
    BrowserStanding, Lapse, Standing, Verified, find_browser_standing, find_lapse, find_standing,
};
pub use step_up::SteppedUp;
