//! Tests of sessions and their refresh tokens.

mod renewal;
mod rotate;
