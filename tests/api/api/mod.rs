//! Tests of the JSON API, in the folders of src/api/.

mod audit_events;
mod auth;
mod me;
mod users;
