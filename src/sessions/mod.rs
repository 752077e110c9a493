//! Sessions. One session row is behind a browser's cookie or an API client's token pair.

pub mod begin;
pub mod cookie_digest;
pub mod cookie_key;
pub mod end;
pub mod former;
pub mod history;
pub mod last_use;
pub mod refresh_token;
pub mod renewal;
pub mod rotate;
pub mod session;
pub mod session_state;
pub mod statistics;
pub mod step_up;
pub mod unchanged;

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
