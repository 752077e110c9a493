//! Tests of the operations that several interfaces share.

mod refresh;
pub mod throttle;
