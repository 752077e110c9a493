//! The audit log and the kept refusals. Events are written in the transaction of the change that they
//! describe.

pub(crate) mod daily;
pub(crate) mod event;
pub(crate) mod refusal_counts;
mod refusal_queue;
mod refusal_trim;
pub mod refusals;

pub use event::{Event, EventType, Origin, Subject};
