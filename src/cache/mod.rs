//! The caches of a node. They hold verified tokens and the state of sessions and personal tokens.

pub mod node_cache;
pub mod reapply;
#[cfg(test)]
mod tests;
pub mod tickets;
