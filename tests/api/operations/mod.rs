//! Tests of the operations that several interfaces share.

pub mod throttle;
