//! Explains why a credential was refused, and shows the history of its session or token.

mod curl;
pub(crate) mod explanation;
pub(crate) mod history;
pub(crate) mod kept_refusals;
pub mod pasted;
pub(crate) mod question;
pub(crate) mod rehearsal;
