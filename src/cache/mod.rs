//! The caches of a node. They hold verified tokens and the state of sessions and personal tokens.

pub(crate) mod node_cache;
pub mod reapply;
#[cfg(test)]
mod tests;
pub(crate) mod tickets;
