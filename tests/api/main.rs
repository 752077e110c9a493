//! Tests the API from outside, with real HTTP and a real PostgreSQL. Each test has its own database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod abuse;
mod admin_pages;
mod attempt_budget;
mod audit;
mod bounds;
mod browser;
mod client_address;
mod client_mistakes;
mod concurrency;
mod examples;
mod explain;
mod fair_shares;
mod faults;
mod feed;
mod field_errors;
mod guard;
mod guide;
mod headers;
mod history;
mod ipv6;
mod keys;
mod large_answers;
mod late_requests;
mod login;
mod malformed_requests;
mod me;
mod migrations;
mod names;
mod nodes;
mod note_search;
mod notes;
mod openapi;
mod prune;
mod query_plans;
mod refresh;
mod refusals;
mod renewal;
mod restored;
mod simplejwt;
mod spellings;
mod spraying;
mod support;
mod unknown_values;
mod users;
