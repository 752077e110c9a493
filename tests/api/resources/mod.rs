//! Tests of the guarded resources.

mod notes;
