//! Sessions. One session row is behind a browser's cookie or an API client's token pair.

pub(crate) mod begin;
pub(crate) mod cookie_digest;
pub(crate) mod cookie_key;
pub mod end;
pub(crate) mod former;
pub mod history;
pub(crate) mod last_use;
pub mod refresh_token;
pub(crate) mod renewal;
pub mod rotate;
pub(crate) mod session;
pub(crate) mod session_state;
pub(crate) mod statistics;
pub(crate) mod step_up;
pub(crate) mod unchanged;

pub use begin::{NewSession, SessionSecret, begin};
pub use cookie_digest::CookieDigest;
pub use cookie_key::CookieKey;
pub use end::{EndReason, SessionSelection, end_sessions, find_unended};
pub use former::rotate_former;
pub use history::{SessionHistory, find_history};
pub use last_use::LastUse;
pub use renewal::{FormerSecrets, NewSecret, Renewed};
pub use rotate::{PresentedToken, QueuedRefresh, Rotation, rotate, rotate_all};
pub use session::{Grant, Session, SessionKind, SessionLimits};
pub use session_state::{
    BrowserSessionState, Invalidation, SessionState, VerifiedChange, find_browser_state, find_invalidation,
    find_state,
};
pub use step_up::SteppedUp;
