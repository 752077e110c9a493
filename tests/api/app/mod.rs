//! Tests of the assembled server.

mod middleware;
mod openapi;
