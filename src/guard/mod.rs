//! The guard authenticates and authorizes requests for the API and the pages. Handlers get a caller only from
//! it.

pub(crate) mod authorized;
pub(crate) mod caller;
pub(crate) mod check;
pub(crate) mod checks;
pub mod credential;
pub(crate) mod csrf;
mod header_mistakes;
pub mod lookup;
pub(crate) mod origin;
pub(crate) mod refusals;
pub(crate) mod rejudge;
pub(crate) mod requirements;
pub mod session_cookie;
pub(crate) mod trace;
pub(crate) mod visitor;

pub use authorized::{AnyCaller, Authorized, Requirement};
pub use caller::Caller;
