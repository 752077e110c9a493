//! Explains why a credential was refused, and tells the history of the session or token behind it.

mod curl;
pub mod explanation;
pub mod history;
pub mod kept_refusals;
pub mod pasted;
