//! Tests of the middleware.

mod headers;
