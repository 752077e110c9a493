//! Rate limits: counters in the database, buckets in memory, known addresses, and bounds on responses that
//! clients do not read.

pub(crate) mod attempts;
pub(crate) mod buckets;
pub(crate) mod counter;
pub(crate) mod counter_row;
pub(crate) mod counters;
pub(crate) mod known_address;
pub(crate) mod network;
pub(crate) mod spray;
pub(crate) mod throttled_by;
pub(crate) mod unread_answers;
