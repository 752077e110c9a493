//! Caches of a node. Today: the tickets that keep stale answers out of them.

#[cfg(test)]
mod tests;
pub mod tickets;
