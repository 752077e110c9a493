//! Tests of how requests are read.

mod bounds;
mod client_address;
mod malformed_requests;
pub mod raw;
