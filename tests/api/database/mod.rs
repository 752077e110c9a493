//! Tests of the database, its feed, its migrations and its faults.

mod faults;
pub mod feed;
mod migrations;
mod nodes;
mod prune;
mod query_plans;
mod unknown_values;
