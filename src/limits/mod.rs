//! Abuse limits: the rows that tries count against, and the networks that they come from.

pub mod counter;
pub mod counter_row;
pub mod network;
pub mod spray;
