//! Tests the API from outside, with real HTTP and a real PostgreSQL. Each test has its own database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod abuse;
mod admin_pages;
mod all_at_once;
mod audit;
mod bounds;
mod browser;
mod client_address;
mod examples;
mod explain;
mod fair_shares;
mod faults;
mod feed;
mod guard;
mod guide;
mod headers;
mod input;
mod ipv6;
mod keys;
mod large_answers;
mod late_requests;
mod life;
mod login;
mod me;
mod migrations;
mod mistakes;
mod names;
mod nodes;
mod note_search;
mod notes;
mod one_budget;
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
mod turns;
mod unknown_values;
mod users;
