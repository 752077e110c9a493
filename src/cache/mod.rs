//! The caches of a node. They hold verified tokens and the state of sessions and personal tokens.

pub mod reapply;
pub mod remembered;
#[cfg(test)]
mod tests;
pub mod tickets;
