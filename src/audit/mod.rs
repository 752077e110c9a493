//! What happened, who did it, to whom: events that are written in the transaction of what they tell.

pub mod daily;
pub mod event;
pub mod refusal_counts;
mod refusal_queue;
mod refusal_trim;
pub mod refusals;

pub use event::{Event, EventType, Origin, Subject};
