//! The guard authenticates and authorizes requests for the API and the pages. Handlers get a caller only from
//! it.

pub mod authorized;
pub mod caller;
pub mod check;
pub mod checks;
pub mod credential;
pub mod csrf;
mod header_mistakes;
pub mod lookup;
pub mod origin;
pub mod refusals;
pub mod rejudge;
pub mod requirements;
pub mod session_cookie;
pub mod trace;

pub use authorized::{AnyCaller, Authorized, Requirement};
pub use caller::Caller;
