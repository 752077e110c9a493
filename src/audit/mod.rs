//! The audit log and the kept refusals. Events are written in the transaction of the change that they
//! describe.

pub(crate) mod daily;
pub(crate) mod event;
mod event_details;
mod event_type;
pub(crate) mod refusal_counts;
mod refusal_queue;
mod refusal_trim;
pub mod refusals;

pub use event::{Event, Origin, Subject};
pub use event_details::{EventDetails, SharedDetails};
pub use event_type::EventType;
