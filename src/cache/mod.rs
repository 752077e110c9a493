//! Caches of a node. Today: the tickets that keep stale answers out of them.

pub mod reapply;
pub mod remembered;
#[cfg(test)]
mod tests;
pub mod tickets;
