//! Tests of accounts, their names and their changes.

mod canonical_names;
mod concurrency;
mod name;
