//! Tests of notes, the guarded resource.

mod handlers;
mod search;
