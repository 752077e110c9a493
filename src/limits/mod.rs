//! Rate limits: counters in the database, buckets in memory, known addresses, and bounds on answers that
//! clients do not read.

pub mod attempts;
pub mod buckets;
pub mod counter;
pub mod counter_row;
pub mod counters;
pub mod known_address;
pub mod network;
pub mod spray;
pub mod throttled_by;
pub mod unread_answers;
