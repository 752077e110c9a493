//! Tests of the catalogue of refusals.

mod code;
mod examples;
mod field_errors;
