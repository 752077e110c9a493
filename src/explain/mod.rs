//! Explains why a credential was refused, and shows the history of its session or token.

mod curl;
pub mod explanation;
pub mod history;
pub mod kept_refusals;
pub mod pasted;
