//! The guard: who may pass. Between the doors and the nouns, and the only way to a caller.

pub mod account;
pub mod address;
pub mod audit_log;
pub mod authorized;
pub mod caller;
pub mod checks;
pub mod conditions;
pub mod cookie_store;
pub mod credential;
pub mod csrf;
pub mod cursor;
pub mod explain;
pub mod fields;
pub mod forwarded;
pub mod input;
pub mod issue;
pub mod life;
pub mod memory;
pub mod new_password;
pub mod page;
pub mod pasted;
pub mod refresh;
pub mod refusal;
pub mod refusal_log;
pub mod registration;
pub mod requirements;
pub mod server;
pub mod services;
pub mod sign_in;
pub mod standing;
pub mod step_up;
pub mod trace;
pub mod users;

pub use authorized::{AnyCaller, Authorized, Requirement};
pub use caller::Caller;
pub use services::Services;
